"""``lurcher.open(..., follow=True)``: what another process has written is found by the next search."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lurcher
from lurcher.errors import DeadlinePassed, FieldError


def test_each_search_finds_what_was_written_before_it(small_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "docs.lurcher")
    with (
        lurcher.open(bundle, threads=1, follow=True) as followed,
        lurcher.open(bundle, threads=1, writable=True) as docs,
    ):
        receipt = docs.upsert([{"id": "new", "text": "A heron fishes in the shallow water"}])
        (hit,) = followed.search("heron", top_k=1).hits
        assert (hit.id, followed.sequence) == ("new", receipt.sequence)
        docs.delete(["new"])
        assert followed.refresh()
        assert not followed.refresh()
        assert followed.passages.known(["new"]) == set()
        docs.patch({"en-food-0": {"lang": "xx"}})
        docs.flush()
        followed.wait_for(3, seconds=0)
        assert followed.search("yeast", 1, filter={"lang": "xx"}).hits[0].id == "en-food-0"
        with pytest.raises(DeadlinePassed, match="write 4 is not visible yet"):
            followed.wait_for(4, seconds=0)


def test_a_writer_does_not_follow(small_bundle: Path) -> None:
    with pytest.raises(FieldError, match="follow"):
        lurcher.open(small_bundle, writable=True, follow=True)  # type: ignore[call-overload]  # refused
