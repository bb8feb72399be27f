"""Scores of a query and its candidates, from packed 1-bit tokens."""
