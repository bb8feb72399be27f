"""A query of one exact identifier, among passages that have its parts in another order, or more often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.query import Query, RankMode, RetrieveMode
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import ask, gaining

NAMES = {
    "10.2.1.0": ["10.1.0.2", "10.2.0.1 0 1 2 10", "2.1"],
    "AB-10-L2": ["AB-12-L2", "AB-15-L2", "AB 10 L2 L2 AB"],
    "by_user_list": ["UserListHttp", "list_by_user", "by user by user list list"],
    "HttpGetName": ["GetNameHttp", "get http name get name", "HttpGet"],
    "10.1014/j.cell.2020.02.012": ["10.1014/j.cell.2020.06.012", "10.1014 2020.02.012 cell cell"],
    "libavcodec58": ["libavcodec57", "libavcodec 58 58"],
}


@pytest.fixture(scope="module")
def snapshot(
    build_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Snapshot]:
    corpus = tmp_path_factory.mktemp("lookalikes") / "c.jsonl"
    lines = []
    for name, others in NAMES.items():
        texts = [f"Somebody has seen a problem with {name}: it came back on Monday.", *others]
        lines += [{"id": f"{name} {i}", "text": text} for i, text in enumerate(texts)]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with closing(Bundle.open(build_once("lookalikes", corpus))) as bundle:
        yield Snapshot(gaining(bundle), 1)


@pytest.mark.parametrize("rank", ["off", "maxsim"])
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize("name", NAMES)
def test_the_passage_that_has_the_identifier_is_first(
    snapshot: Snapshot, name: str, mode: RetrieveMode, rank: RankMode
) -> None:
    (first, *_) = ask(snapshot, Query(name, retrieve=mode, rank=rank)).hits
    assert first.id == f"{name} 0"


def test_the_name_of_a_passage_comes_before_its_parts_in_a_sentence_too(snapshot: Snapshot) -> None:
    (first, *_) = ask(
        snapshot, Query("a problem with AB-10-L2", retrieve="lexical", rank="off")
    ).hits
    assert first.id == "AB-10-L2 0"
