"""Two targets query by query: what got better and worse, what the hits are, and the page of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser

import pytest

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

from lurcher.errors import InputError
from lurcher.evaluation.compare import Compared, average_overlap, compare
from lurcher.evaluation.compare_page import page
from lurcher.evaluation.runs import Ranking, Run
from lurcher.evaluation.searchers import Shown

EVIL = '<script>alert(1)</script> & "x" \x1b[31m'
QUERIES = {"q1": "first", "q2": f"second {EVIL}", "q3": "third", "q4": "fourth"}
QRELS = {"q1": {"a": 1}, "q2": {"b": 2}, "q3": {"c": 1}, "q4": {"d": 1}}


def ranking(*ids: str) -> Ranking:
    return [(id_, 1.0 - place / 10) for place, id_ in enumerate(ids)]


OLD = Run("old", {"q1": ranking("x", "a"), "q2": ranking("b"), "q3": ranking("c", "x")})
NEW = {
    "q1": ranking("a", "x"),
    "q2": ranking("x", "y", "b"),
    "q3": ranking("c", "y"),
    "q4": ranking("d"),
}


class Finder:
    """Finds what is in NEW, and shows it."""

    name = "new"

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        ids = {text: id_ for id_, text in QUERIES.items()}
        return [NEW[ids[text]][:k] for text in queries]

    def known(self, ids: Sequence[str]) -> set[str]:
        return set(ids)

    def shown(self, queries: Sequence[str], k: int) -> list[dict[str, Shown]]:
        return [
            {id_: Shown(id_, f"Title of {id_}", f"Text {EVIL}") for id_, _ in found}
            for found in self.search(queries, k)
        ]


@pytest.fixture(scope="module")
def found() -> Compared:
    return compare((OLD, Finder()), QUERIES, QRELS)


def test_queries_are_ordered_by_how_much_they_changed(found: Compared) -> None:
    assert found.names == ("old", "new")
    assert [(one.id, one.values) for one in found.better] == [
        ("q4", (0.0, 1.0)), ("q1", (pytest.approx(0.6309, abs=1e-4), 1.0)),
    ]  # fmt: skip
    assert [one.id for one in found.worse] == ["q2"]
    assert found.changes == sorted(found.changes, reverse=True)
    old, new, change = found.figures["nDCG@10"]
    assert (
        change.mean == pytest.approx(new.mean - old.mean) == pytest.approx(sum(found.changes) / 4)
    )
    assert 0 < change.p <= change.p_corrected <= 1
    assert found.warnings == (
        "old has no hits for 1 of 4 queries (first: 'q4'), which count as nothing found",
    )


def test_hits_say_what_they_are_and_where_the_other_has_them(found: Compared) -> None:
    """A run has ids alone, and shows what the other target knows of them."""
    before, after = found.better[1].hits
    assert [(hit.place, hit.id, hit.elsewhere, hit.grade) for hit in before] == [
        (1, "x", 2, None), (2, "a", 1, 1),
    ]  # fmt: skip
    assert before[1].shown == after[0].shown == Shown("a", "Title of a", f"Text {EVIL}")
    assert [hit.elsewhere for hit in found.worse[0].hits[1]] == [None, None, 1]
    assert found.better[0].hits[0] == []


def test_so_many_are_shown_as_asked_for() -> None:
    found = compare((OLD, Finder()), QUERIES, QRELS, show=1, limit=2)
    assert ([one.id for one in found.better], [one.id for one in found.worse]) == (["q1"], ["q2"])
    assert found.queries == 2


def test_without_judgements_the_queries_that_differ_most_are_shown() -> None:
    found = compare((OLD, Run("new", NEW)), None, None, show=2)
    assert [one.id for one in found.different] == ["q4", "q2"]
    assert found.different[0].change == 0
    assert (found.better, found.worse, found.figures) == ([], [], {})
    assert all(hit.shown is None for hit in found.different[1].hits[1])
    assert compare((OLD, OLD), None, None).different == []
    with pytest.raises(InputError, match="queries are needed"):
        compare((OLD, Finder()), None, None)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("ab", "ab", 1.0),
        ("ab", "ba", 0.5),
        ("ab", "cd", 0.0),
        ("abc", "a", (1 + 1 / 2 + 1 / 3) / 3),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_average_overlap_by_hand(one: str, other: str, overlap: float) -> None:
    assert average_overlap(ranking(*one), ranking(*other)) == pytest.approx(overlap)
    assert average_overlap(ranking(*other), ranking(*one)) == pytest.approx(overlap)


class Tags(HTMLParser):
    """Which tags and attributes there are, and whether each that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen, self.open, self.attributes = (
            set[str](),
            list[str](),
            list[Mapping[str, str | None]](),
        )
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.append(dict(attrs))
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


def test_page_needs_nothing_from_outside_and_escapes_all(found: Compared) -> None:
    text = page(found)
    tags = Tags(text)
    assert tags.open == []
    assert not tags.seen & {"script", "link", "img", "iframe", "a"}
    assert not {name for one in tags.attributes for name in one} & {
        "src",
        "href",
        "onclick",
        "style",
    }
    assert "url(" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;" in text
    assert "Better in new" in text
    assert "Title of a" in text
    assert re.search(
        r"nDCG@10: <span class=good>2 better</span>, <span class=bad>1 worse</span>, 1 the", text
    )


def test_page_without_judgements_has_no_figures() -> None:
    text = page(compare((OLD, Run("new", NEW)), None, None))
    assert "Most different" in text
    assert "<table>" not in text
    assert "No query changed" in page(compare((OLD, OLD), None, None))
