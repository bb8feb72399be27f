"""Documents into passages that the encoder reads to their last character, by its own tokens."""

from __future__ import annotations

from lurcher.index_builder.split.splitter import Splitter

__all__ = ["Splitter"]
