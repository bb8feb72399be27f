"""Queries of one identifier: what counts as one, what holds it, and which are drawn."""

from __future__ import annotations

import pytest

from lurcher.benchmarks.identifier_queries import (
    holds,
    identifier_queries,
    kind_of,
    tokens,
)
from lurcher.bundle.passages import Passage


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("10.1234/abc.5-6(7)", "DOI"),
        ("1.4.12", "version"),
        ("v3.0.1-rc2", "version"),
        ("--dry-run", "option"),
        ("src/lib/url.js", "path"),
        ("/etc/hosts", "path"),
        ("setup.cfg", "file"),
        ("ECONNREFUSED", "code"),
        ("W605", "code"),
        ("0xdeadbeef", "code"),
        ("os.path.join", "dotted name"),
        ("read_csv", "snake_case"),
        ("getElementById", "camelCase"),
        ("IL-17A", "part number"),
        ("1,234", "number"),
        ("0.045", "number"),
        ("and/or", None),
        ("EXCEED", None),
        ("well-known", None),
        ("2-fold", None),
        ("word", None),
        ("--", None),
        ("a1B", None),  # too short
    ],
)
def test_kind_of_a_token(token: str, kind: str | None) -> None:
    assert kind_of(token) == kind


def test_a_token_is_all_that_marks_join() -> None:
    text = "Call os.path.join (see lib/a.py), or `--dry-run`; IL-10, 1,234 of them. See ./run.sh."
    found = list(tokens(text))
    assert {"os.path.join", "lib/a.py", "--dry-run", "IL-10", "1,234", "./run.sh"} <= set(found)
    assert found[-1] == "./run.sh"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("about il-10.", True),
        ("about IL\u201110, too", True),
        ("(IL-10)", True),
        ("about IL-10R", False),
        ("about anti-IL-10", False),
        ("about IL 10", False),
    ],
)
def test_a_passage_holds_whole_tokens(text: str, held: bool) -> None:
    assert holds(Passage("p", text), "IL-10") is held
    assert holds(Passage("p", "text", title=text), "IL-10") is held


def test_one_document_alone_holds_what_is_drawn() -> None:
    passages = [
        Passage("a#1", "read_csv and load_table and IL-10", document="a"),
        Passage("a#2", "read_csv again", document="a"),
        Passage("b", "Load_Table, IL-10R and write_all"),
        Passage("c", "v2.3.4 and IL\u201010"),
    ]
    drawn = identifier_queries(passages, 100, 1)
    assert {(q.text, q.kind, q.document) for q in drawn} == {
        ("read_csv", "snake_case", "a"),
        ("write_all", "snake_case", "b"),
        ("IL-10R", "part number", "b"),
        ("v2.3.4", "version", "c"),
    }


def test_kinds_take_turns_and_a_seed_gives_one_draw() -> None:
    names = " ".join(f"name_{letter}x" for letter in "abcdefgh")
    passages = [Passage("a", f"{names} 1.2.3 and E404")]
    drawn = identifier_queries(passages, 5, 3)
    assert sorted(q.kind for q in drawn) == ["code", *["snake_case"] * 3, "version"]
    assert drawn == identifier_queries(passages, 5, 3)
    assert drawn != identifier_queries(passages, 5, 4)
