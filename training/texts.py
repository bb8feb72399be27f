"""Texts of many kinds to align a student on, without judgements: of passages, and of Python's code.

A student loses most on kinds of text that it never saw. A corpus gives titles and sentences; Python files
give what people ask of code: the names of functions in words, and what their docstrings begin with.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.evaluation.judgements import lines

_WORDS = (4, 40)  # of a sentence that is kept
_LARGEST = 400_000  # bytes of a file of code; larger ones are tables
_NOT_OURS = {"site-packages", "test", "tests"}  # below a folder of code: other people's, and tests
_CODE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def sentences_of(text: str) -> list[str]:
    """The sentences of ``text``, cut after a full stop, a question or exclamation mark."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)


def titles_and_sentences(corpus: Path, among: Collection[str] | None = None) -> Iterator[str]:
    """The title and sentences of each passage of ``corpus``, corpus.jsonl of ``_id``, title and text.

    ``among`` are the ids of the passages to read, if not all. Raises CorpusError.
    """
    for number, line in lines(corpus):
        try:
            passage = json.loads(line)
            id_, title, text = passage["_id"], passage.get("title") or "", passage["text"]
        except (ValueError, TypeError, KeyError) as error:
            raise CorpusError(corpus, number, "not an object with _id and text") from error
        if among is None or id_ in among:
            if title:
                yield title
            for sentence in sentences_of(text):
                if _WORDS[0] <= len(sentence.split()) <= _WORDS[1]:
                    yield sentence


def of_code(folders: Iterable[Path]) -> Iterator[str]:
    """Of each function and class in the Python files below ``folders``: name in words, docstring's start.

    Of those with a docstring only. Tests, installed packages and what does not parse are passed over.
    """
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            below = file.relative_to(folder).parts
            if _NOT_OURS.isdisjoint(below) and file.is_file() and file.stat().st_size <= _LARGEST:
                yield from _documented(file.read_bytes())


def _documented(source: bytes) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return
    for node in ast.walk(tree):
        if isinstance(node, _CODE) and (doc := ast.get_docstring(node)):
            start = " ".join(doc.split("\n\n")[0].split()[: _WORDS[1]])
            name = " ".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", node.name)).lower()
            if len(start.split()) >= _WORDS[0]:
                yield start
                if " " in name:
                    yield name
