"""Who names a document where a passage is wanted is told the ids of its passages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.retrieval.checks import rows_of
from tests.tiny import build


def test_a_document_is_told_from_an_unknown_id(
    tmp_path: Path, write_jsonl: Callable[[Path, Any], Path]
) -> None:
    texts = ["The cat sleeps", "Bread rises", "The oven is warm", "A song"]
    records = [{"id": "doc", "passages": texts}, {"id": "two", "passages": texts[:2]}]
    build(write_jsonl(tmp_path / "corpus.jsonl", records), tmp_path / "b.lurcher")
    with closing(Bundle.open(tmp_path / "b.lurcher")) as bundle:
        assert rows_of(bundle.passages, ["doc#1", "two#2"]).tolist() == [0, 5]
        for id_, reason in {
            "doc": "is a document of 4 passages: doc#1, doc#2, doc#3, …",
            "two": "is a document of 2 passages: two#1, two#2",
            "none": "no passage has this id",
        }.items():
            with pytest.raises(FieldError) as refused:
                rows_of(bundle.passages, ["doc#1", id_])
            assert str(refused.value) == f"passages.1: {reason}"
