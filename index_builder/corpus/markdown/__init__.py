"""Markdown: the source as it is, with the structure in it."""
