"""Texts to align on: what of a passage and of a file of code is one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lurcher.errors import CorpusError
from lurcher.training.texts import (
    drawn_from,
    keywords_of,
    messages_of_code,
    of_code,
    of_manuals,
    of_packages,
    passages_of,
    sentences_of,
    titles_and_sentences,
)


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


def test_a_passage_is_one_text_with_its_title_cut_after_150_words(
    write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    records = [{"_id": "1", "title": "A title", "text": "word " * 200}, {"_id": "2", "text": "x y"}]
    long, short = passages_of(write_jsonl(tmp_path / "corpus.jsonl", records))
    assert long == " ".join(["A title"] + ["word"] * 148)
    assert short == "x y"


def test_keywords_are_words_in_a_row_without_function_words() -> None:
    sentence = "The Doppler shift of the returned pulse is what a police radar measures on roads."
    rest = "doppler shift returned pulse police radar measures roads"
    for seed in range(20):
        (found,) = keywords_of([sentence, "It is."], seed)
        assert 2 <= len(found.split()) <= 6
        assert found in rest
    assert list(keywords_of([sentence], 3)) == list(keywords_of([sentence], 3))


def test_texts_are_drawn_from_passages_half_of_them_keywords() -> None:
    passages = [
        (f"Title {i}", f"The valve number {i} opens slowly under heavy load. It shuts.")
        for i in range(50)
    ]
    drawn = drawn_from(passages, 40, 0)
    assert len(set(drawn)) == len(drawn) == 40
    assert sum(text.endswith("load.") or text.startswith("Title") for text in drawn) == 20
    assert drawn_from(passages, 40, 0) == drawn
    assert drawn_from([], 40, 0) == []
    assert "Only a title" in drawn_from([("Only a title", "")], 40, 0)


MESSAGES = """
def check(value):
    if value < 0:
        raise ValueError(f"the value must not be below zero, as {value} is")
    if value > 9:
        raise KeyError("too short")
    logger.warning("the value %s is " + "larger than usual", value)
    logger.warning(value)
    raise
"""


def test_messages_of_code_are_what_it_raises_and_logs(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(MESSAGES)
    assert sorted(messages_of_code([tmp_path])) == [
        "the value %s is larger than usual",
        "the value must not be below zero, as %s is",
    ]


def test_manual_pages_give_sentences_without_markup(tmp_path: Path) -> None:
    roff = (
        ".TH FOO 1\n.SH NAME\nfoo \\- count all frobs\n.PP\nWith\n.B \\-\\-all\n"
        "it counts \\fIevery\\fR frob of the disk. Another sentence is here too.\n"
    )
    (tmp_path / "man1").mkdir()
    (tmp_path / "man1" / "foo.1.gz").write_bytes(gzip.compress(roff.encode()))
    (tmp_path / "man1" / "torn.1.gz").write_bytes(gzip.compress(roff.encode())[:-9])
    (tmp_path / "man1" / "gone.1.gz").symlink_to(tmp_path / "nowhere")
    assert list(of_manuals(tmp_path)) == [
        "foo - count all frobs With --all it counts every frob of the disk.",
        "Another sentence is here too.",
    ]


def test_package_descriptions_give_summary_and_sentences(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: frob\nDescription: counter of frobs\n It counts all the\n frobs of a disk.\n .\n Fast.\n"
        "Homepage: x\n\nPackage: none\nStatus: ok\n"
    )
    assert list(of_packages(status)) == ["counter of frobs", "It counts all the\nfrobs of a disk."]
