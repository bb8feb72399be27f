"""Whatever meets users' text takes time that grows with its length alone: patterns, and what is made of them.

Each compiled pattern of the product is found in its source, so that a new one is tested from its first day:
on a megabyte of signs that it names, and of what is worst for it. What takes time by the square of that takes
hours.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from lurcher.evaluation.answer_measures import f1
from lurcher.folding import folded
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.lexical.analyser import Analyser
from lurcher.retrieval.answer_words import widened
from lurcher.retrieval.highlights import query_words
from lurcher.retrieval.questions import is_question
from lurcher.text import normalised
from tests.limits import within_a_minute
from tests.tiny import TINY

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "lurcher",
    "bundle",
    "evaluation",
    "feedback",
    "index_builder",
    "models",
    "retrieval",
    "server",
)
MEGABYTE = 1_000_000
# Of the signs that a pattern names, so many are tried.
_TRIED = 2

# What is worse for a pattern than a run of one sign: what begins it, and what is repeated.
WORST: dict[str, list[tuple[str, str]]] = {
    "lurcher.text._STOP": [("", '."'), ("", "。」"), ("", "x. ")],
    "lurcher.text._THAI_BLANK": [("ก", " "), ("", "ก ")],
    "lurcher.folding._MANY_MARKS": [("", "\u0e38\u0e48"), ("", "a" + "\u0301" * 29)],
    "lurcher.folding._MANY_OF_EVERY_MARK": [("", "\U0001e944\u0e48"), ("", "a" + "\u0301" * 29)],
    "lurcher.models.lexical.analyser._RUN": [("", "a猫")],
    "lurcher.models.lexical.analyser._TIED": [("", "a's"), ("", "l'")],
    "lurcher.models.lexical.names._TOKEN": [("", "a."), ("a", "->"), ("", "é++"), ("", "1,")],
    "lurcher.models.lexical.names._ASCII_TOKEN": [("", "a."), ("a", "->"), ("", "a++"), ("", "1,")],
    "lurcher.models.lexical.names._DOTTED_NAME": [("", "(.a")],
    "lurcher.models.lexical.names._PARTS": [("", "Ab"), ("", "URLs")],
    "lurcher.bundle.manifest._CHECKSUM": [("", '"checksum": "'), ('"checksum": "', "0")],
    "lurcher.server.sources._OF_SERVICE_LINK": [("", "_SERVICE_PORT"), ("", "_PORT_1_TCP"), ("PORT_", "1")],
    "lurcher.evaluation.answer_measures._ARTICLES": [("", "a "), ("", "th")],
}  # fmt: skip

# What never searches a long text, and why. It is matched at the start of one all the same.
NOT_SEARCHED = {
    "lurcher.retrieval.answer_words": "sees some hundred signs: MOST, and what a reader points at",
    "lurcher.index_builder.corpus.markdown.front_matter._YAML_LINE": "is matched at the start of a line",
    "lurcher.index_builder.corpus.texts.rst._ADORNMENT": "is matched at the start of a line",
    "lurcher.index_builder.corpus.tables.cell_types._PAIR": "is matched where the pair before it ends",
}

ENGLISH = Analyser("english")
SPLITTER = Splitter(Encoder.load(TINY, "passage", 1))

# `lurcher/` links to the packages beside it.
LINKED = {("lurcher", package) for package in PACKAGES}


def patterns() -> Iterator[str]:
    """The full name of each pattern that a module of the product compiles."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "re.compile(" not in source or path.relative_to(ROOT).parts[:2] in LINKED:
                continue
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and "re.compile(" in ast.unparse(node.value):
                    full = module if package == "lurcher" else f"lurcher.{module}"
                    yield f"{full}.{ast.unparse(node.targets[0])}"


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """A minute for each test."""
    with within_a_minute():
        yield


def long_text(begin: str, piece: str) -> str:
    """A megabyte of ``piece`` after ``begin``; what ends it fits no pattern."""
    return begin + piece * (MEGABYTE // len(piece.encode())) + "\0"


@pytest.mark.parametrize("name", list(patterns()))
def test_a_pattern_reads_a_megabyte_of_its_worst(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    searched = module not in NOT_SEARCHED and name not in NOT_SEARCHED
    for pattern in found.values() if isinstance(found, dict) else [found]:
        read_a_megabyte(pattern, WORST.get(name, []), searched)


def read_a_megabyte(pattern: re.Pattern[Any], worst: list[tuple[str, str]], searched: bool) -> None:
    """Match ``pattern``, and if it is ``searched``, search it, in a megabyte of each of its worst."""
    source = pattern.pattern
    signs = dict.fromkeys(source.decode() if isinstance(source, bytes) else source)
    runs = [("", sign) for sign in signs if not sign.isalnum() and sign not in "()[]{}|^$?*\\"]
    for begin, piece in [("", "a"), *runs[:_TRIED], *worst]:
        text = long_text(begin, piece)
        subject = text.encode() if isinstance(source, bytes) else text
        pattern.match(subject)
        if searched:
            deque(islice(pattern.finditer(subject), 1_000), maxlen=0)


def test_what_is_told_of_patterns_is_told_of_such_that_are_there() -> None:
    there = set(patterns())
    assert set(WORST) <= there
    assert set(NOT_SEARCHED) <= there | {name.rpartition(".")[0] for name in there}


@pytest.mark.parametrize("piece", ["a ", "? ", "1,", "\u0e38\u0e48", '"('])
@pytest.mark.parametrize(
    "work",
    [
        is_question,
        folded,
        query_words,
        ENGLISH.terms,
        ENGLISH.query_terms,
        normalised,
        lambda text: widened(text, len(text) // 2, len(text) // 2 + 1),
        lambda text: f1(text, [text]),
        lambda text: SPLITTER.split([Document("d", text)]),
    ],
    ids=[
        "is_question",
        "folded",
        "query_words",
        "terms",
        "query_terms",
        "normalised",
        "widened",
        "f1",
        "split",
    ],
)
def test_a_function_reads_a_long_text_of_the_worst(
    work: Callable[[str], object], piece: str
) -> None:
    work(piece * (100_000 // len(piece)))
