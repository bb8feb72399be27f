"""Token alignment: the very words in query and passage, whatever is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import decoders, models, pre_tokenizers

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.models.encoders.tokenizer import Tokenizer
from lurcher.retrieval.query import Extra, Query
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.spans import in_passage

ALIGNED: frozenset[Extra] = frozenset({"token_alignment"})
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture(scope="module", params=["plain", "prompted"])
def odd(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    """A snapshot over ``ODD``, of an encoder without prompts and of one with different ones."""
    yield from opened(request.getfixturevalue(f"{request.param}_odd_bundle"))


@pytest.fixture(scope="module")
def own_codes(plain_odd_bundle: Path) -> Iterator[Snapshot]:
    """A snapshot over ``ODD`` in which no token shares its code with another."""
    yield from opened(plain_odd_bundle)


def opened(path: Path) -> Iterator[Snapshot]:
    bundle = Bundle.open(path)
    yield Snapshot(bundle, 1)
    bundle.close()


def ask(snapshot: Snapshot, text: str, **options: Any) -> dict[str, Hit]:
    query = Query(text, 100, extras=ALIGNED, **options)
    (result,) = snapshot.run([query])
    assert isinstance(result, SearchResult)
    return {hit.id: hit for hit in result.hits}


def words(hit: Hit, query: str) -> list[tuple[str, str, str]]:
    """Of each match: the query's token, the part, and the passage's token."""
    parts = {"title": hit.title, "text": hit.text}
    return [
        (query[m.query[0] : m.query[1]], m.part, parts[m.part][m.passage[0] : m.passage[1]])
        for m in hit.explanation.token_alignment or []
    ]


@pytest.mark.parametrize(
    ("id_", "query", "met"),
    [
        ("one", "telescope", ("telescope", "text", "telescope")),
        ("titled", "galileo", ("galileo", "title", "Galileo")),
        ("titled", "  A Telescope ", ("Telescope", "text", "telescope")),
        ("title only", "moons", ("moons", "title", "moons")),
        ("padded", "note", ("note", "text", "note")),
        ("emoji", "naive", ("naive", "text", "naïve")),
        ("marked", "text", ("text", "text", "text")),
        ("long#1", "dunes", ("dunes", "text", "dunes")),
    ],
)
def test_a_word_meets_itself(
    own_codes: Snapshot, id_: str, query: str, met: tuple[str, str, str]
) -> None:
    assert met in words(ask(own_codes, query)[id_], query)


def test_a_word_meets_itself_behind_a_prompt(prompted_odd_bundle: Path) -> None:
    """``one`` has one token, so its code is nobody else's."""
    for snapshot in opened(prompted_odd_bundle):
        query = "a telescope"
        met = words(ask(snapshot, query)["one"], query)
        assert met == [("a", "text", "telescope"), ("telescope", "text", "telescope")]


def test_matches_are_the_most_similar_tokens_and_add_up_to_the_maxsim_score(odd: Snapshot) -> None:
    query = "who built the naïve telescope of Jupiter 🐕?"
    for id_, hit in ask(odd, query).items():
        matches = hit.explanation.token_alignment
        assert matches is not None
        if id_ in ("empty", "blank"):
            assert matches == []
            assert hit.scores["maxsim"] == -1
            continue
        total = sum(m.weight * m.similarity for m in matches)
        assert hit.scores["maxsim"] == pytest.approx(total, abs=1e-5)
        assert sum(m.weight for m in matches) == pytest.approx(1, abs=1e-5)
        for match in matches:
            assert -1 <= match.similarity <= 1
            whole = hit.title if match.part == "title" else hit.text
            assert 0 <= match.passage[0] < match.passage[1] <= len(whole)
            assert whole[match.passage[0] : match.passage[1]].strip()
            assert query[match.query[0] : match.query[1]].strip()


def test_the_last_word_of_a_long_document_is_matched_in_its_last_part(odd: Snapshot) -> None:
    query = "penguin"
    hits = ask(odd, query)
    (last,) = (id_ for id_, hit in hits.items() if hit.text.endswith(query))
    assert last.startswith("long#")
    met = words(hits[last], query)
    assert "".join(theirs for _, part, theirs in met if part == "text") == query


def test_a_query_beyond_the_limit_has_matches_for_what_is_read(odd: Snapshot) -> None:
    matches = ask(odd, "telescope " * 2_000)["one"].explanation.token_alignment
    assert matches
    assert max(m.query[1] for m in matches) < 10 * 260


def test_tokens_are_aligned_for_who_asks_and_where_hits_were_ranked(odd: Snapshot) -> None:
    (bare,) = odd.run([Query("telescope")])
    assert isinstance(bare, SearchResult)
    unranked = ask(odd, "telescope", rank="off").values()
    for hit in (*bare.hits, *unranked):
        assert hit.explanation.token_alignment is None


@given(texts, texts)
def test_every_character_of_the_content_is_found_again(title: str, text: str) -> None:
    passage = Passage("id", text, title)
    for start, character in enumerate(passage.content):
        for end in {start + 1, len(passage.content)}:
            place = in_passage(passage, (start, end))
            if end == start + 1 and place is not None:
                part, (first, last) = place
                assert last == first + 1
                assert (title if part == "title" else text)[first] == character
            elif end == start + 1:
                assert character == " "  # between both


@given(texts, texts, st.integers(0, 30), st.integers(0, 30))
def test_what_is_found_is_part_of_the_content(title: str, text: str, a: int, b: int) -> None:
    passage = Passage("id", text, title)
    span = (min(a, b, len(passage.content)), min(max(a, b), len(passage.content)))
    place = in_passage(passage, span)
    if place is not None:
        part, (first, last) = place
        piece = (title if part == "title" else text)[first:last]
        assert piece
        assert piece in passage.content[span[0] : span[1]]


def test_a_token_over_the_seam_belongs_where_more_of_it_is() -> None:
    passage = Passage("id", "dog", "hot")
    assert in_passage(passage, (0, 7)) == ("text", (0, 3))
    assert in_passage(passage, (1, 5)) == ("title", (1, 3))
    assert in_passage(passage, (3, 4)) is None
    assert in_passage(passage, (2, 2)) is None


def test_spans_are_of_code_points_whatever_a_token_is(tmp_path: Path) -> None:
    """A tokeniser of bytes, as GPT-2's: four tokens for an emoji, each of which stands for all of it."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    tiny = HubTokenizer(models.BPE({sign: i for i, sign in enumerate(signs)}, []))
    tiny.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tiny.decoder = decoders.ByteLevel()
    tiny.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", 9)
    text = "é🎯 a" + "b" * 20
    (spans,) = tokenizer.spans([text])
    assert spans == [(0, 1)] * 2 + [(1, 2)] * 4 + [(2, 3), (3, 4), (4, 5)]
    assert len(spans) == len(tokenizer([text])[0].ids)
