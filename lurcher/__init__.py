"""Lurcher: a retrieval server for machines without a GPU."""
