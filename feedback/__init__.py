"""Judged pairs that come while a server runs: the log, what of it counts, and its place in searches."""
