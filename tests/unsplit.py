"""Bundles as they were built before documents were split, which open still: a document is one passage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from lurcher.bundle.passages import Passage
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.split import Splitter


class WholeDocuments(Splitter):
    """Makes one passage of each document, even of one that is longer than the encoder reads."""

    def split(self, documents: Sequence[Document]) -> list[list[Passage]]:
        return [[Passage(one.id, one.text, one.title, one.metadata)] for one in documents]


@contextmanager
def unsplit() -> Iterator[None]:
    """Builds in this block split nothing."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lurcher.index_builder.build_models.Splitter", WholeDocuments)
        yield
