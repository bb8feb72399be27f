"""``lurcher.open(..., writable=True)``: what is written is found, and is there for others afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lurcher
from lurcher.errors import FieldError
from lurcher.writable import WritableCollection


def test_a_collection_is_written_and_read(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    with lurcher.open(bundle, threads=1, writable=True) as docs:
        assert isinstance(docs, WritableCollection)
        records = [
            {"id": "n", "text": "A narwhal has a tusk", "metadata": {"sea": "arctic", "year": 1}}
        ]
        assert docs.upsert(records).added == 1
        assert docs.search("narwhal tusk", 1).hits[0].id == "n"
        assert docs.passages.get(["n"])[0].metadata == {"sea": "arctic", "year": 1}
        assert docs.patch({"n": {"sea": None}}).patched == 1
        assert docs.delete(filter={"lang": "fr"}).removed == 20
        with pytest.raises(FieldError, match=r"records\.1: id is missing"):
            docs.upsert([{"id": "o", "text": "x"}, {"text": "y"}])
        with pytest.raises(FieldError, match="confirm"):
            docs.delete(filter={"year": {"gte": 0}})
        with pytest.raises(FieldError, match="is being written by"):
            lurcher.open(bundle, writable=True)
        assert docs.sequence == 3
    with lurcher.open(bundle, threads=1) as docs:
        assert len(docs.passages) == 41
        assert docs.passages.get(["n"])[0].metadata == {"year": 1}
        assert not docs.passages.known(["o"])
