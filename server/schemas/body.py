"""The base of all request bodies."""

from __future__ import annotations

from lurcher.retrieval.given_fields import GivenFields


class Body(GivenFields):
    """A request body."""
