"""What is written later is coded as the build coded: a passage scores the same in every segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Upsert
from lurcher.index_builder.edit.writer import Writer
from tests.tiny import TinyOptions, build

TEXTS = {
    f"p{i}": f"passage {i} tells of {word} and bread" for i, word in enumerate("abcdefghijklmnop")
}


def vectors_of(bundle: Bundle, id_: str) -> Vectors:
    row = bundle.passages.rows_of([id_])[id_]
    return bundle.vectors.vectors(np.array([row]))[0]


@pytest.mark.parametrize("index", ["Flat", "SQ8", "HNSW32_SQ8"])
def test_a_text_has_the_same_vector_wherever_it_lies(tmp_path: Path, index: str) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(f'{{"id": "{i}", "text": "{t}"}}\n' for i, t in TEXTS.items()))
    path = tmp_path / "docs.lurcher"
    build(corpus, path, TinyOptions(index=index))
    writer = Writer.open(path)
    built = vectors_of(writer.bundle, "p3")
    writer.commit([Upsert((Document("again", TEXTS["p3"]),))])
    assert np.array_equal(vectors_of(writer.bundle, "again"), built)
    writer.close()
    with_disk = Writer.open(path)
    assert len(with_disk.bundle.segments) == 2
    assert np.array_equal(vectors_of(with_disk.bundle, "again"), built)
    with_disk.compact(everything=True)
    assert len(with_disk.bundle.segments) == 1
    assert np.array_equal(vectors_of(with_disk.bundle, "again"), built)
    with_disk.close()
