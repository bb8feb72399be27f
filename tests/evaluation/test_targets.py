"""Targets in words and as objects, with settings of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

import lurcher
from lurcher.errors import FieldError
from lurcher.evaluation.searchers import SearchWith
from lurcher.evaluation.targets import Target, open_target, target_of
from tests.server.serving import running, settings

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("given", "where", "how"),
    [
        ("docs.lurcher", "docs.lurcher", SearchWith()),
        (Path("docs.lurcher"), "docs.lurcher", SearchWith()),
        (
            "a,b/docs.lurcher,rank=off,candidates=7",
            "a,b/docs.lurcher",
            SearchWith(rank="off", candidates=7),
        ),
        (f"{URL},retrieve=dense", URL, SearchWith(retrieve="dense")),
        ("neighbours=off", "base", SearchWith("off", "maxsim")),
        ("x=1/docs.lurcher", "x=1/docs.lurcher", SearchWith()),
    ],
)
def test_target_in_words(given: Any, where: str, how: SearchWith) -> None:
    assert target_of(given, Target("base", SearchWith(rank="maxsim"))) == Target(where, how)


def test_path_that_is_there_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "docs,rank=off"
    path.mkdir()
    assert target_of(str(path)) == Target(str(path))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("docs.lurcher,colour=red", "colour: there is no such setting"),
        ("docs.lurcher,rank=best", "rank: 'best': must be one of auto, off, maxsim"),
        ("docs.lurcher,candidates=few", "candidates: 'few': must be a whole number"),
        ("rank=off", "rank=off: settings alone are for a target beside another one"),
        (7, "target: int: must be a path, a URL"),
    ],
)
def test_what_is_no_target_is_said(given: Any, says: str) -> None:
    with pytest.raises(FieldError) as caught:
        target_of(given)
    assert str(caught.value).startswith(says)


def test_open_ones_stay_open_and_find_the_same(small_bundle: Path) -> None:
    how = SearchWith(rank="off", candidates=3)
    with lurcher.open(small_bundle, threads=1) as here, running(settings(small_bundle)) as served:
        with lurcher.Client(served.url) as client:
            found = []
            for where in (here, client, str(small_bundle), served.url):
                with open_target(Target(where, how), ["en-food-0"]) as target:
                    assert not isinstance(target, Target)
                    found.append([id_ for id_, _ in target.search(["bread"], 5)[0]])
                    (shown,) = target.shown(["bread"], 5)
                    assert shown[found[-1][0]].title.startswith("food")
            assert target.name == f"{served.url},rank=off,candidates=3"
            assert found[0] == found[1] == found[2] == found[3]
            assert len(found[0]) == 5
            assert len(here.search("bread").hits) == len(client.search("bread").hits) == 10
            with (
                pytest.raises(FieldError, match="engine: is for a bundle that is opened"),
                open_target(Target(here, SearchWith(engine="native"))),
            ):
                pass
        with pytest.raises(FieldError, match="AsyncClient: must be"):
            target_of(lurcher.AsyncClient(served.url))
