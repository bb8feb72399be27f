"""Text becomes terms: words by their stems, scripts without blanks by pairs, whatever form a letter has."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.lexical.analyser import MAX_TERM, Analyser, Terms, is_paired
from lurcher.models.lexical.languages import LANGUAGES

ENGLISH = Analyser("english")
AS_WRITTEN = Analyser("none")

PIECES = [
    *("a", "É", "e\u0301", "ß", "B2", "猫", "ก็", "한", "ﬁ", "²", "\u00ad", "😀", "the", "running"),
    *("_", "-", ".", ":", "/", "+", "#", "'", "’s", "__", "==", " "),
]
TEXTS = st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@pytest.mark.parametrize(
    ("text", "words", "extra"),
    [
        ("", [], []),
        ("?! … 😀 👩‍🔬 -- __ '", [], []),
        ("Running, RUNS (ran)", ["run", "run", "ran"], []),
        ("\ud800 lone", ["lone"], []),
        # What an apostrophe ties to a word is no word.
        ("Einstein's don’t I'm users' they’ll", ["einstein", "don", "i", "user", "they"], []),
        ("O'Neill d’Artagnan l'eau rock'n'roll", ["o", "neill", "artagnan", "eau", "rock", "roll"], []),
        # One form of a letter is as good as another.
        ("résumé re\u0301sume\u0301 RESUME ｒｅｓｕｍｅ", ["resum"] * 4, []),
        ("in\u00adsu\u00adla\u00adtion ﬁnding Straße", ["insul", "find", "strass"], []),
        # Pairs, and single signs where one can be a word.
        ("東京都 猫", ["東京", "京都", "猫"], ["東", "京", "都"]),
        ("부산의", ["부산", "산의"], ["부", "산", "의"]),
        ("ไทย", ["ไท", "ทย"], []),
        ("Windows版", ["window", "版"], []),
        ("नीला समुद्र", ["नीला", "समुद्र"], []),
    ],
)  # fmt: skip
def test_terms_of_a_text(text: str, words: list[str], extra: list[str]) -> None:
    assert ENGLISH.terms(text) == Terms(words, extra)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("none", "Running runs", ["running", "runs"]),
        ("german", "Häuser Haus häusern", ["haus"] * 3),
        ("french", "chevaux continuellement", ["cheval", "continuel"]),
        ("spanish", "canciones cancion canción", ["cancion"] * 3),
        ("russian", "книга книги книгами", ["книг"] * 3),
        ("finnish", "taloissa talossa", ["talo"] * 2),
        ("hindi", "लड़का लड़के", ["लड़क".replace("ड़", "ड\u093c")] * 2),
    ],
)
def test_words_are_stemmed_in_the_language(language: str, text: str, words: list[str]) -> None:
    assert Analyser(language).terms(text).words == words  # type: ignore[arg-type] # one of LANGUAGES


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("What are the oldest bridges of the oldest town?", ["oldest", "bridg", "town"]),
        ("to be or not to be", ["to", "be", "or", "not"]),
        ("IT", ["it"]),
        ("the IT-department", ["depart", "it-department"]),
        ("YouTube", ["youtub", "tube"]),  # not "you"
        ("東京都 の 猫", ["東京", "京都", "の", "猫"]),  # no single signs of what has a pair
        ("?!", []),
    ],
)
def test_query_has_distinct_terms_without_function_words(query: str, terms: list[str]) -> None:
    assert ENGLISH.query_terms(query) == terms


def test_function_words_of_another_language_are_words() -> None:
    assert ENGLISH.query_terms("der die das") == ["der", "die", "das"]
    assert Analyser("german").query_terms("der die Brücken") == ["bruck"]


def test_a_pair_is_told_from_a_word() -> None:
    assert [is_paired(term) for term in ("東京", "猫", "부산", "ไท")] == [True] * 4
    assert not is_paired("cat")


def test_a_long_term_is_cut_and_still_another_than_one_with_its_beginning() -> None:
    one, other = ("ab" * 100 + end for end in "cd")
    terms = ENGLISH.terms(f"{one} {other} {one} https://example.org/{one}")
    assert terms.words[0] == terms.words[2] != terms.words[1]
    assert all(len(term) <= MAX_TERM for term in terms.words + terms.extra)
    assert terms.words[0].startswith("abab")
    assert ENGLISH.terms("a" * MAX_TERM).words == ["a" * MAX_TERM]


@given(TEXTS)
def test_each_term_of_a_query_is_among_those_of_the_same_text(text: str) -> None:
    for analyser in (ENGLISH, AS_WRITTEN):
        terms = analyser.terms(text)
        asked = analyser.query_terms(text)
        assert set(asked) <= {*terms.words, *terms.extra}
        assert len(set(asked)) == len(asked)
        assert bool(asked) == bool(terms.words)
        assert all(0 < len(term) <= MAX_TERM for term in terms.words + terms.extra)


@given(TEXTS)
def test_words_are_the_same_in_any_form(text: str) -> None:
    words = ENGLISH.terms(text).words
    for form in ("NFC", "NFD"):
        assert ENGLISH.terms(unicodedata.normalize(form, text)).words == words


@given(st.lists(st.sampled_from(["Café", "naïve", "Brontë's", "co-opérer", "x²", "ÀÉÎ_õü"])))
def test_words_are_the_same_without_accents_and_in_capitals(words: list[str]) -> None:
    text = " ".join(words)
    plain = "".join(
        sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign)
    )
    expected = ENGLISH.terms(text).words
    for other in (plain, text.upper(), plain.lower()):
        assert ENGLISH.terms(other).words == expected


@given(st.lists(TEXTS, max_size=3))
def test_a_text_has_the_terms_of_its_pieces(texts: list[str]) -> None:
    together = ENGLISH.terms("\n".join(texts))
    assert together.words == [word for text in texts for word in ENGLISH.terms(text).words]
    assert together.extra == [term for text in texts for term in ENGLISH.terms(text).extra]


def test_threads_share_an_analyser() -> None:
    texts = [" ".join(f"running{n}s wander{n}ing" for n in range(k, k + 100)) for k in range(8)]
    expected = [Analyser("english").terms(text) for text in texts]
    shared = Analyser("english")
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(shared.terms, texts)) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_analyses_every_script(language: str) -> None:
    text = "running d'eau Häuser книгами 東京都 लड़के العربية çalışıyor Ελλάδα 부산 ไทย a_b 1.2"
    analyser = Analyser(language)  # type: ignore[arg-type] # one of LANGUAGES
    assert len(analyser.terms(text).words) == 17
