"""Texts to align on: what of a passage and of a file of code is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lurcher.errors import CorpusError
from lurcher.training.texts import of_code, sentences_of, titles_and_sentences


def test_sentences_end_where_the_next_begins() -> None:
    text = "Dogs ran, e.g. two of them. Who saw it? Nobody! it said. A.B. 3 left."
    assert sentences_of(text) == [
        "Dogs ran, e.g. two of them.", "Who saw it?", "Nobody! it said.", "A.B. 3 left.",
    ]  # fmt: skip


def test_titles_and_sentences_of_the_passages_asked_for(
    write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    records = [
        {"_id": "1", "title": "A title", "text": "One two three four. Too short. " + "word " * 41},
        {"_id": "2", "title": "", "text": "Another passage has this."},
        {"_id": "3", "text": "A third one without title."},
    ]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", records)
    first = ["A title", "One two three four."]
    rest = ["Another passage has this.", "A third one without title."]
    assert list(titles_and_sentences(corpus)) == first + rest
    assert list(titles_and_sentences(corpus, {"1"})) == first


@pytest.mark.parametrize("line", ["{", "[]", '{"_id": "2"}', '{"text": "no id here at all"}'])
def test_a_line_that_is_no_passage_is_named(tmp_path: Path, line: str) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "1", "text": "fine"}\n' + line + "\n")
    with pytest.raises(CorpusError, match=r"corpus.jsonl.*line 2"):
        list(titles_and_sentences(corpus))


CODE = '''
"""The module's own docstring is about all of it."""

class TreeWalker:
    """Walks over trees, depth first.

    And more.
    """

    def next_node(self):
        """Return the node that comes after
        this one."""

    def bare(self):
        pass

def load():
    """Read all settings from disk."""

async def short():
    """Too short."""
'''


def test_functions_and_classes_give_their_names_in_words_and_the_docstrings_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "code.py").write_text(CODE)
    for name in ("site-packages", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "other.py").write_text(
            'def other_one():\n    """It is not read at all."""'
        )
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "null.py").write_bytes(b"\0")
    (tmp_path / "other.txt").write_text(CODE)
    assert sorted(of_code([tmp_path])) == sorted(
        [
            "Walks over trees, depth first.",
            "tree walker",
            "Return the node that comes after this one.",
            "next node",
            "Read all settings from disk.",
        ]
    )
