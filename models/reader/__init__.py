"""The reader: which words of which passage answer a query."""
