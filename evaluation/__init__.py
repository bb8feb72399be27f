"""Judged queries, and retrieval quality measured against them."""
