"""The bundles of odd passages, which the server's tests use as well."""

from __future__ import annotations

from tests.server.conftest import (
    answering_bundle,
    odd_corpus,
    plain_odd_bundle,
    prompted_odd_bundle,
)

__all__ = ["answering_bundle", "odd_corpus", "plain_odd_bundle", "prompted_odd_bundle"]
