"""Bytes to text, in the encoding that a file has."""
