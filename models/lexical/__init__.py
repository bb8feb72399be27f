"""The lexical side: text to terms, and formulas on their postings. Pure functions on texts and arrays."""
