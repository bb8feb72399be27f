"""Passages that a record brings keep the document's title, and have their own as the innermost heading."""

from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.document import Document, Part
from lurcher.index_builder.split.source import sources_of


@pytest.mark.parametrize(
    ("title", "section", "path"),
    [
        ("own", ("Part 1", "Sub"), ("Part 1", "Sub", "own")),
        ("own", (), ("own",)),
        ("", ("Part 1",), ("Part 1",)),
        ("Manual", ("Part 1",), ("Part 1",)),
        ("Sub", ("Part 1", "Sub"), ("Part 1", "Sub")),
        ("Part 1", ("Part 1", "Sub"), ("Part 1", "Sub", "Part 1")),
    ],
)
def test_its_title_is_a_heading(
    title: str, section: tuple[str, ...], path: tuple[str, ...]
) -> None:
    document = Document("m", "text", "Manual", parts=(Part(0, 4, title, section),))
    (source,) = sources_of(document)
    assert (source.title, source.path(0, 4)) == ("Manual", path)


def test_a_document_without_a_title_has_none() -> None:
    (source,) = sources_of(Document("m", "text", parts=(Part(0, 4, "own", ("Part 1",)),)))
    assert (source.title, source.path(0, 4)) == ("", ("Part 1", "own"))
