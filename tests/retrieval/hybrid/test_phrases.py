"""Phrases: what is one, and which passages have it, beside filters, modes and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.folding import WORD, folded
from lurcher.models.lexical.analyser import Analyser
from lurcher.retrieval.phrases import (
    MOST_PHRASES,
    comparable,
    phrase_pattern,
    quoted,
    required_terms,
    rows_with,
)
from lurcher.retrieval.query import Query, ReadOptions, RetrieveMode
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import MODES, ask, ids, lexical


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ('a "warm sill" here', ("warm sill",)),
        ("a “warm sill” here", ("warm sill",)),
        ("a „warm sill“ here", ("warm sill",)),
        ("a „warm sill” here", ("warm sill",)),
        ("a «warm sill» here", ("warm sill",)),
        ("« Brücken über den Rhein »", ("Brücken über den Rhein",)),
        ('"one" two "three four"', ("one", "three four")),
        ('"Same" and "sámé"', ("sámé",)),
        ('" Saint-Denis, 1998"', ("Saint-Denis, 1998",)),
        ('"東京都"', ("東京都",)),
        ('""', ()),
        ('" "', ()),
        ('"?!" “…”', ()),
        ('half "a quote', ()),
        ('"a b" and "half', ("a b",)),
        ("“half „and «half", ()),
        ("it's 'not quoted'", ()),
        ("plain", ()),
    ],
)
def test_what_stands_in_quotes_is_a_phrase(text: str, phrases: tuple[str, ...]) -> None:
    assert quoted(text) == phrases


@given(st.text(alphabet='ab "“”„«»é.', max_size=60))
def test_no_quotes_are_wrong(text: str) -> None:
    for phrase in quoted(text):
        assert phrase == phrase.strip() != ""
        assert phrase in text
        assert WORD.search(folded(phrase))


RECORDS = {
    "sill": ("", "The cat sleeps on the warm sill of a window."),
    "apart": ("", "The sill is warm, and the warm old sill is a window's."),
    "turned": ("", "A sill, warm."),
    "joined": ("", "A warm-sill and a warm; sill (both)."),
    "titled": ("Warm sill", "It says nothing else."),
    "longer": ("", "Swarm sill of warm sills."),
    "accents": ("", "Le CAFÉ crème de Saint-Denis, en été."),
    "japanese": ("", "東京都は日本の首都である。"),
    "kyoto": ("", "京都の東、都の京。東、京都"),
    "code": ("", "Call obj.to_json(indent=2) to print BC-547B."),
    "linux": ("", "Linux入門は2024年のLinux カーネル"),
    "tied": ("", "Don't panic, l’eau d'or: O'Brien is Rock'n'Roll."),
    "korean": ("", "부산의 바다는 푸르다."),
    "mixed": ("", "He said: 3 × 4 = 12; it's 12% of C++ code."),
}


@pytest.fixture(scope="module")
def opened(
    build_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundle]:
    corpus = tmp_path_factory.mktemp("phrases") / "c.jsonl"
    lines = [
        json.dumps({"id": id_, "title": title, "text": text, "kana": not text.isascii()}) + "\n"
        for id_, (title, text) in RECORDS.items()
    ]
    corpus.write_text("".join(lines))
    with closing(Bundle.open(build_once("phrases", corpus))) as bundle:
        yield bundle


@pytest.fixture(scope="module")
def snapshot(opened: Bundle) -> Snapshot:
    return Snapshot(opened, 1)


def having(bundle: Bundle, text: str) -> set[str]:
    """The ids of the passages that have the one phrase of ``text``."""
    (phrase,) = quoted(text)
    rows = rows_with([phrase], lexical(bundle), bundle.passages)
    assert rows.tolist() == sorted(rows.tolist())
    return {one.id for one in bundle.passages.get(rows.tolist())}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('"warm sill"', {"sill", "joined", "titled"}),
        ('"WARM,  sill"', {"sill", "joined", "titled"}),
        ('"sill warm"', {"turned"}),
        ('"sill"', {"sill", "apart", "turned", "joined", "titled", "longer"}),
        ('"sills"', {"longer"}),  # the form of a word counts
        ('"cafe creme"', {"accents"}),
        ('"Café Crème de saint denis"', {"accents"}),
        ('"saint-denis en ete"', {"accents"}),
        ('"東京都"', {"japanese"}),
        ('"京都"', {"japanese", "kyoto"}),
        ('"首都である"', {"japanese"}),
        ('"to_json(indent=2)"', {"code"}),
        ('"to json"', {"code"}),
        ('"json"', {"code"}),
        ('"부산"', {"korean"}),
        ('"부산의 바다"', {"korean"}),
        ('"부산 바다"', set()),
        ('"산의"', set()),
        ('"bc 547b"', {"code"}),
        ('"it\'s 12% of C++"', {"mixed"}),
        ('"linux"', {"linux"}),
        ('"2024"', {"linux"}),
        ('"Linux 入門"', {"linux"}),
        ('"入門は2024年"', {"linux"}),
        ('"linuxカーネル"', {"linux"}),
        ('"don’t panic"', {"tied"}),
        ('"l\'eau d’or"', {"tied"}),
        ('"o\'brien is"', {"tied"}),
        ("\"rock'n'roll\"", {"tied"}),
        ('"no such words"', set()),
        ('"on the warm sill of a window"', {"sill"}),
    ],
)
def test_passages_that_have_a_phrase(opened: Bundle, text: str, wanted: set[str]) -> None:
    assert having(opened, text) == wanted


PIECES = [
    "don't", "l’eau", "O'Brien", "C++", "to_json()", "camelCase", "東京都", "京都の", "warm-sill",
    "Linux入門", "2024年", "café", "부산의", "U.S.A.", "naïve,", "—", "x/y.py", "กรุงเทพ",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), st.integers(0, 7), st.integers(1, 6),
    st.sampled_from(["english", "none"]),
)  # fmt: skip
def test_pieces_of_a_text_that_stand_together_are_found_in_it(
    pieces: list[str], first: int, count: int, language: str
) -> None:
    text, phrase = " ".join(pieces), " ".join(pieces[first % len(pieces) :][:count])
    if not WORD.search(phrase):
        return
    analyser = Analyser(language)  # type: ignore[arg-type]  # one of them
    terms = analyser.terms(text)
    assert set(required_terms(phrase, analyser)) <= {*terms.words, *terms.extra}
    assert phrase_pattern(phrase).search(comparable(text))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", ["off", "maxsim"])
def test_each_hit_has_all_phrases_in_every_mode(
    snapshot: Snapshot, mode: RetrieveMode, rank: str
) -> None:
    def hits(text: str, **others: object) -> list[str]:
        query = Query(text, 20, retrieve=mode, rank=rank, query_syntax="phrase")  # type: ignore[arg-type]  # one of its values
        return ids(ask(snapshot, replace(query, **others)).hits)  # type: ignore[arg-type]  # of a query

    assert set(hits('where is the "warm sill"')) == {"sill", "joined", "titled"}
    assert hits('"warm sill" in a "window"') == ["sill"]
    assert hits('"warm sill" "no such words"') == []
    assert set(hits('"warm sill"', query_syntax="plain")) > {"sill", "apart"}
    filtered = hits('"京都"', conditions=(Condition("kana", "in", (False,)),))
    assert filtered == []
    assert set(hits('"京都"', conditions=(Condition("kana", "in", (True,)),))) == {
        "japanese",
        "kyoto",
    }
    # What is no phrase asks for nothing.
    assert hits('a warm "sill') == hits('a warm "sill', query_syntax="plain")
    assert hits('the sill ""') == hits('the sill ""', query_syntax="plain")


def test_hits_of_a_phrase_have_the_scores_that_they_have_without(snapshot: Snapshot) -> None:
    query = Query('the "warm sill" of a cat', 20)
    plain = {hit.id: hit.score for hit in ask(snapshot, query).hits}
    for hit in ask(snapshot, replace(query, query_syntax="phrase")).hits:
        assert hit.score == pytest.approx(plain[hit.id], abs=2e-6)


def test_words_that_too_many_passages_have_are_refused(opened: Bundle) -> None:
    index, passages = lexical(opened), opened.passages
    assert len(rows_with(["warm sill"], index, passages, most=6)) == 3
    with pytest.raises(
        FieldError, match="6 passages have all words in quotes, and at most 5"
    ) as error:
        rows_with(["warm sill"], index, passages, most=5)
    assert error.value.field == "query"


def test_too_many_phrases_are_refused(snapshot: Snapshot) -> None:
    text = " ".join(f'"sill {i}"' for i in range(MOST_PHRASES + 1))
    (error,) = snapshot.run([Query(text, query_syntax="phrase")])
    assert isinstance(error, FieldError)
    assert "21 phrases, at most 20" in str(error)


def test_a_long_phrase_takes_no_longer_than_a_short_one_to_compile(opened: Bundle) -> None:
    phrase = " ".join(f"w{i}" for i in range(2_000))
    assert len(phrase_pattern(phrase).pattern) < 10 * len(phrase)
    assert having(opened, f'"{phrase}"') == set()


def test_a_phrase_holds_for_what_is_read(build_once: Callable[..., Path]) -> None:
    with closing(Bundle.open(build_once("answering", seed=1, answers=True))) as bundle:
        question = Query(
            'where does "the cat sleeps" again', 5, query_syntax="phrase", read=ReadOptions(20, 0.0)
        )
        result = ask(Snapshot(bundle, 1), question)
    assert result.hits
    assert all("The cat sleeps" in hit.text for hit in result.hits)
    assert result.answers
    assert {answer.passage.id for answer in result.answers} <= set(ids(result.hits))
