"""The words that the passages and queries of these tests are made of, and a bundle's files of states."""

from __future__ import annotations

from lurcher.bundle.bundle import SEGMENT

QUERY = "where does a lurcher go"
STATES, COUNTS = f"{SEGMENT}/states.bin", f"{SEGMENT}/states.idx"
WORDS = [*QUERY.split(), "dog", "it", "heat", "turns", "cycle", "water", "wind", "of", "the"]
