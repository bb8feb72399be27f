"""Every character of a document is in a passage that the encoder reads to its end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Passage
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.document import Document, Part, Section
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.encoder import Encoder
from tests.tiny import TINY

ENCODER = Encoder.load(TINY, "passage", 1)
SPLITTER = Splitter(ENCODER)
WINDOW = SPLITTER.window
SENTENCE = "The cat sleeps on the warm sill while rain falls. "


def split(text: str, splitter: Splitter = SPLITTER, **fields: Any) -> list[Passage]:
    """The passages of one document called ``d``."""
    (found,) = splitter.split([Document("d", text, **fields)])
    return found


def check(document: Document, passages: list[Passage], splitter: Splitter = SPLITTER) -> None:
    """All of ``document`` is in ``passages``, in order, as it stands there, and the encoder reads it."""
    assert all(splitter.fits([passage.content for passage in passages]))
    hidden = {at for start, end in document.hidden for at in range(start, end)}
    seen: set[int] = set()
    for passage in passages:
        span = range(passage.start, passage.end)
        text = "".join(document.text[at] for at in span if at not in hidden)
        assert passage.text == text
        assert passage.document == document.id
        seen.update(span)
    assert seen >= {
        at for at, sign in enumerate(document.text) if not sign.isspace() and at not in hidden
    }
    for one, other in pairwise(passages):
        assert one.start < other.start
        assert one.end < other.end


words = st.sampled_from(
    [
        "cat",
        "sleeps.",
        "\n",
        "\n\n",
        "x" * 50,
        "é",
        "e\u0301",
        "日本語。",
        "👩‍👩‍👧‍👦",
        "\u200b" * 45,
        "a.b",
        "",
        " " * 60,
    ]
)
texts = st.lists(words, max_size=25).map(" ".join)


@given(
    texts, st.text(max_size=20), st.integers(1, 20), st.data(),
    st.lists(st.tuples(st.integers(0, 400), st.text("ab", max_size=3)), max_size=4),
)  # fmt: skip
def test_no_character_is_left_out(
    text: str, title: str, window: int, data: st.DataObject, headings: list[tuple[int, str]]
) -> None:
    splitter = Splitter(ENCODER, window, data.draw(st.integers(0, window - 1)))
    places = sorted({min(place, len(text)) for place, _ in headings})
    sections = tuple(
        Section(place, (name,)) for place, (_, name) in zip(places, headings, strict=False)
    )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    pairs = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    hidden, blocks = ((), pairs) if data.draw(st.booleans()) else (pairs, ())
    document = Document(
        "d", text, title, sections=sections, blocks=blocks, hidden=hidden
    )  # fmt: skip
    (found,) = splitter.split([document])
    if len(found) > 1:
        check(document, found, splitter)
    else:
        assert (found[0].id, found[0].document) == ("d", "d")


def test_what_fits_stays_as_it_is() -> None:
    text = " \n" + SENTENCE * 5 + "\n"
    (passage,) = split(text, title="Cats", metadata={"year": 1})
    assert passage == Passage("d", text, "Cats", {"year": 1}, "d", (), 0, len(text))


def test_the_parts_of_a_long_document_are_numbered() -> None:
    text = SENTENCE * 100
    found = split(text)
    assert [passage.id for passage in found] == [f"d#{n}" for n in range(1, len(found) + 1)]
    check(Document("d", text), found)
    assert all(passage.text.startswith("The cat") for passage in found)
    assert all(passage.text.endswith("falls.") for passage in found)


@pytest.mark.parametrize(
    "text",
    [sign * (2**15 // len(sign)) for sign in ("x", ".", "👨‍👩‍👧", ". ", "\u200b", "e\u0301", "好。")],
    ids=["no blanks", "dots", "joined emoji", "dots apart", "of no width", "accents", "no spaces"],
)  # fmt: skip
def test_hostile_texts_are_read_to_the_end(text: str) -> None:
    check(Document("d", text), split(text, title="A title"))


def test_blanks_alone_bring_no_passage_of_their_own() -> None:
    assert [one.text for one in split("a" + " \n" * 2**16 + "b")] == ["a", "b"]
    (passage,) = split("\n" * 2**18)
    assert passage.id == "d"


def test_a_title_too_long_leaves_room_for_the_text() -> None:
    text = SENTENCE * 2
    (passage,) = split(text, title="many words " * 300)
    assert passage.text == text.strip()
    assert passage.title.startswith("many words many")
    assert passage.title.endswith("…")
    assert SPLITTER.fits([passage.content]) == [True]
    (alone,) = split("", title="many words " * 300)
    assert alone.title == passage.title


def test_sections_are_not_mixed_where_they_are_long_enough() -> None:
    parts = [("A", SENTENCE * 12), ("B", SENTENCE * 9), ("C", SENTENCE * 30)]
    text = "".join(part for _, part in parts)
    sections, place = [], 0
    for name, part in parts:
        sections.append(Section(place, ("Top", name), name.lower()))
        place += len(part)
    found = split(text, title="Doc", sections=tuple(sections))
    check(Document("d", text), found)
    assert [passage.section for passage in found[:2]] == [("Top", "A"), ("Top", "B")]
    assert {passage.section for passage in found[2:]} == {("Top", "C")}
    assert found[0].heading == "Doc > Top > A"
    assert [passage.anchor for passage in found[:3]] == ["a", "b", "c"]


def test_short_sections_share_a_passage_under_what_they_have_in_common() -> None:
    text = "".join(f"Head {n}. " + SENTENCE for n in range(60))
    size = len(text) // 60
    sections = tuple(
        Section(text.index(f"Head {n}."), ("Top", f"H{n}"), f"h{n}") for n in range(60)
    )
    found = split(text, sections=sections)
    check(Document("d", text), found)
    assert len(found) < 30
    assert all(passage.section == ("Top",) for passage in found if len(passage.text) > 2 * size)


def test_a_block_that_fits_stays_whole() -> None:
    block = "\n".join(f"row {n} of it" for n in range(20)) + "\n"
    text = SENTENCE * 19 + "\n" + block + "\n" + SENTENCE * 30
    start = text.index(block)
    found = split(text, blocks=((start, start + len(block)),))
    check(Document("d", text), found)
    assert any(block.strip() in passage.text for passage in found)


def test_a_record_may_bring_its_passages() -> None:
    texts = ["one", SENTENCE * 100, "three"]
    text = "\n\n".join(texts)
    place, parts = 0, []
    for number, one in enumerate(texts):
        parts.append(Part(place, place + len(one), "" if number else "First", ("S", str(number))))
        place += len(one) + 2
    found = split(text, title="Doc", parts=tuple(parts))
    check(Document("d", text), found)
    assert (found[0].heading, found[0].text) == ("Doc > S > 0 > First", "one")
    assert (found[-1].heading, found[-1].text) == ("Doc > S > 2", "three")
    assert {passage.heading for passage in found[1:-1]} == {"Doc > S > 1"}


def test_links_lead_to_the_section() -> None:
    splitter = Splitter(ENCODER, url_prefix="https://docs.example/")
    document = Document("a b/c.html", "text", sections=(Section(0, ("S",), "s 1"),))
    ((passage,),) = splitter.split(
        [
            document,
        ]
    )
    assert passage.url == "https://docs.example/a%20b/c.html#s%201"
    ((bare,),) = splitter.split([Document("x", "text")])
    assert bare.url == "https://docs.example/x"
    assert split("text")[0].url == ""


@pytest.mark.parametrize(
    ("window", "overlap", "field"),
    [(0, 0, "window"), (WINDOW + 1, 0, "window"), (5, 5, "overlap"), (5, -1, "overlap")],
)
def test_windows_that_cannot_be(window: int, overlap: int, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Splitter(ENCODER, window, overlap)
    assert caught.value.field == field


def test_a_window_of_ones_own_splits_what_would_fit() -> None:
    text = SENTENCE * 5
    (spans,) = ENCODER.all_spans([SENTENCE])
    splitter = Splitter(ENCODER, len(spans), 0)
    found = split(text, splitter, title="Cats")
    assert [passage.text for passage in found] == [SENTENCE.strip()] * 5
