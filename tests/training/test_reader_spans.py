"""Where answers stand among a passage's codes, and which passages that were found hold none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.passages import Passage
from lurcher.errors import CorpusError
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.training.ranker.questions import Judged, Questions
from lurcher.training.reader.spans import Texts, locate, span_of
from tests.training.reading import ASKED, PASSAGES, asked_of


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(DEFAULT_ENCODER, "passage", 1)


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words and signs of ``text`` stand, as a tokeniser that knows every word says."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def found(passage: Passage, answer: str, spans: Sequence[tuple[int, int]] | None = None) -> str:
    """What the span of ``answer`` says, with what stands around it in brackets; empty where there is none."""
    content = passage.content
    spans = words_of(content) if spans is None else spans
    span = span_of(passage, spans, answer)
    if span is None:
        return ""
    start, end = spans[span[0]][0], spans[span[1]][1]
    return f"{content[:start]}[{content[start:end]}]{content[end:]}"


# --- one answer


@pytest.mark.parametrize(
    ("title", "text", "answer", "wanted"),
    [
        ("", "one two three", "two", "one [two] three"),
        ("", "one two three", "one two three", "[one two three]"),
        ("", "two one two", "two", "[two] one two"),
        ("", "twofold two", "two", "twofold [two]"),
        ("", "untwo two, twos", "two", "untwo [two], twos"),
        ("", "twofold", "two", "[twofold]"),
        ("", "one twofold three", "two", "one [twofold] three"),
        ("", "the one-two", "two", "the one-[two]"),
        ("", "it costs US$5 or $5", "$5", "it costs US[$5] or $5"),
        ("Two", "one Two", "Two", "Two one [Two]"),
        ("Two", "one", "Two", "[Two] one"),
        ("Twofold", "one", "Two", "[Twofold] one"),
        ("one two", "three", "two three", ""),  # half in the title
        ("  Two ", " one  two ", "two", "Two   one  [two]"),
        ("  Two ", " one ", "Two", "[Two]   one"),
        (" ", "  one two", "one", "[one] two"),
        ("", "one two", "Two", ""),
        ("", "one", "", ""),
        ("", "", "one", ""),
        ("", "🐕🐈 two 🐕", "two", "🐕🐈 [two] 🐕"),
        ("🐕", "👩‍👩‍👧 two", "two", "🐕 👩‍👩‍👧 [two]"),
        ("", "one 👩‍👧 two", "👩‍👧", "one [👩‍👧] two"),
        ("", "東京都 京都", "京都", "東京都 [京都]"),
    ],
)
def test_where_an_answer_stands(title: str, text: str, answer: str, wanted: str) -> None:
    assert found(Passage("p", text, title), answer) == wanted


def test_pieces_of_a_word_are_not_the_word() -> None:
    """Tokens may end within a word, where the answer seems to stand by itself."""
    passage = Passage("p", "twofold two")
    pieces = [(0, 3), (3, 7), (8, 11)]
    assert span_of(passage, pieces, "two") == (2, 2)
    assert span_of(passage, pieces, "fold") == (1, 1)  # nowhere else
    assert span_of(Passage("p", "untwo. two"), [(0, 2), (2, 5), (5, 6), (7, 10)], "two") == (3, 3)


def test_what_is_cut_off_is_not_there() -> None:
    passage = Passage("p", "one two three two", "Three")
    read = words_of(passage.content)
    assert span_of(passage, read[:2], "two") is None
    assert span_of(passage, read[:2], "two three") is None
    assert span_of(passage, read[:2], "one") == (1, 1)
    assert span_of(passage, [], "one") is None
    # In the text it is not read, in the title it is.
    assert span_of(Passage("p", "one two", "two"), [(0, 3)], "two") == (0, 0)


@given(
    title=st.text("ab 🐕.", max_size=6), text=st.text("abc 🐕.\u3000", max_size=25), data=st.data()
)
def test_what_is_found_is_the_first_that_stands_alone(
    title: str, text: str, data: st.DataObject
) -> None:
    passage = Passage("p", text, title)
    start = data.draw(st.integers(0, len(text)))
    answer = text[start : data.draw(st.integers(start, len(text)))].strip()
    spans = words_of(passage.content)
    span = span_of(passage, spans, answer)
    if not answer:
        assert span is None
        return
    assert span is not None
    said = passage.content[spans[span[0]][0] : spans[span[1]][1]]
    assert answer in said
    alone = re.compile(rf"(?<![abc]){re.escape(answer)}(?![abc])")
    if answer[0] in "abc" and answer[-1] in "abc" and (match := alone.search(text)):
        assert said == answer
        # In the text, and the first there.
        assert spans[span[0]][0] == len(passage.content) - len(text.rstrip()) + match.start()


def test_the_tokeniser_that_ships(encoder: Encoder) -> None:
    passage = Passage(
        "p", "😀 In 1914 the naïve Zürich—Café opened; 19145 was no year.", "Ünïted\n"
    )
    spans = encoder.own_spans(passage.content)
    for answer in ("1914", "naïve Zürich", "Café", "19145", "Ünïted", "😀", "was no year."):
        span = span_of(passage, spans, answer)
        assert span is not None
        assert passage.content[spans[span[0]][0] : spans[span[1]][1]] == answer
    long = Passage("p", "long words here " * 300 + "answer")
    assert span_of(long, encoder.own_spans(long.content), "answer") is None
    assert span_of(long, encoder.own_spans(long.content), "words here") == (1, 2)


# --- a bundle's


def test_texts_are_the_tokens_that_have_codes(answering: Bundle) -> None:
    texts, store, tokens = Texts(answering), answering.reading, answering.tokens
    assert store is not None
    assert tokens is not None
    np.testing.assert_array_equal(np.diff(texts.starts), store.counts(np.arange(PASSAGES)))
    encoder = Encoder.load(answering.path / ENCODER, "passage", 1)
    for row, passage in enumerate(answering.passages.get(range(PASSAGES))):
        (found,) = encoder.tokenise([passage.content])
        ids = found.ids[encoder.own_tokens(found)]
        places = texts.places[texts.of(row)].tolist()
        assert texts.ids[texts.of(row)].tolist() == [ids[place] for place in places]
        left_out = set(range(len(ids))) - set(places)
        assert left_out == {p for p, id_ in enumerate(ids) if tokens.coder.frequency[id_] > 0.5}
        assert len(left_out) == (row != PASSAGES - 1)
    assert texts.of(PASSAGES - 1) == slice(len(texts.ids), len(texts.ids))  # without words
    assert texts.ids.dtype == texts.places.dtype == np.int64


def test_a_bundle_without_tokens_has_no_texts(
    teacher: Path, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "water"}])
    build(corpus, tmp_path / "bare.lurcher", BuildOptions(teacher, tokens=None))
    with (
        closing(Bundle.open(tmp_path / "bare.lurcher")) as bare,
        pytest.raises(ValueError, match="without tokens"),
    ):
        Texts(bare)


@pytest.fixture(scope="module")
def texts(answering: Bundle) -> Texts:
    return Texts(answering)


@pytest.fixture
def make(answering: Bundle, tmp_path: Path) -> Callable[[Judged], Questions]:
    """A function that mines questions with ten candidates each."""

    def questions(asked: Judged) -> Questions:
        folder = tmp_path / f"q{len(list(tmp_path.iterdir()))}"
        return Questions.make(folder, answering, answering.query_encoder(1), asked, PASSAGES, 10)

    return questions


def test_answers_are_where_the_words_stand(
    answering: Bundle, texts: Texts, make: Callable[[Judged], Questions]
) -> None:
    asked, answers = asked_of(answering)
    questions = make(asked)
    found = locate(answering, texts, asked, questions, answers)
    assert len(found) == ASKED
    assert found.questions.tolist() == found.rows.tolist() == list(range(ASKED))
    encoder = Encoder.load(answering.path / ENCODER, "passage", 1)
    passages = answering.passages.get(range(PASSAGES))
    for number, row in enumerate(found.rows.tolist()):
        content = passages[row].content
        own = encoder.own_spans(content)
        codes = texts.places[texts.of(row)]
        first, last = codes[found.first[number]], codes[found.last[number]]
        said = content[own[first][0] : own[last][1]]
        assert said == answers[f"q{row}"][0]
    # Passages that were found and hold no answer, in their order; no others.
    for number, question in enumerate(found.questions.tolist()):
        right = answers[f"q{question}"][0].casefold()
        wanted = [
            other
            for other in questions.rows[question].tolist()
            if other != question and right not in passages[other].content.casefold()
        ]
        wrong = found.wrong[number]
        assert wrong[wrong >= 0].tolist() == wanted
        assert (wrong[len(wanted) :] == -1).all()
    assert found.wrong.shape == (ASKED, 10)
    assert (found.wrong >= 0).sum() > 5 * ASKED


def test_a_wrong_passage_holds_none_of_the_answers_in_any_letters(
    answering: Bundle, texts: Texts, make: Callable[[Judged], Questions]
) -> None:
    asked, answers = asked_of(answering)
    asked = asked.take(np.arange(5))
    plain = locate(answering, texts, asked, make(asked), answers)
    # A word that one of the wrong ones has in a capital letter.
    row = int(plain.wrong[1][0])
    word = answering.passages.get([row])[0].text.split()[1]
    assert word[0].isupper()
    also = {id_: [*said[:1], word.swapcase()] for id_, said in answers.items()}
    found = locate(answering, texts, asked, make(asked), also)
    held = {
        row
        for row, passage in enumerate(answering.passages.get(range(PASSAGES)))
        if word.casefold() in passage.content.casefold()
    }
    assert row in held
    assert not held & set(found.wrong.ravel().tolist())


def test_of_several_passages_the_first_with_the_answer_and_none_is_wrong(
    answering: Bundle, texts: Texts, make: Callable[[Judged], Questions]
) -> None:
    asked, answers = asked_of(answering)
    some = Judged([asked.texts[3]], ["q3"], [{PASSAGES - 1: 1, PASSAGES - 2: 1, 3: 2, 5: 1}])
    found = locate(answering, texts, some, make(some), answers)
    assert found.rows.tolist() == [3]
    assert not set(found.wrong[0].tolist()) & {PASSAGES - 1, PASSAGES - 2, 3, 5}


def test_questions_without_an_answer_that_is_read_are_left_out(
    answering: Bundle, texts: Texts, make: Callable[[Judged], Questions]
) -> None:
    asked, answers = asked_of(answering)
    questions = make(asked)
    fewer = {**answers, "q2": ["stands nowhere"], "q4": [""]}
    del fewer["q7"]
    found = locate(answering, texts, asked, questions, fewer)
    assert found.questions.tolist() == [q for q in range(ASKED) if q not in (2, 4, 7)]
    for none in ({}, {id_: ["stands nowhere"] for id_ in answers}):
        with pytest.raises(CorpusError, match="no answer of its queries stands in a passage"):
            locate(answering, texts, asked, questions, none)


def test_answers_of_common_words_alone_have_no_codes(
    answering: Bundle, texts: Texts, make: Callable[[Judged], Questions]
) -> None:
    asked, answers = asked_of(answering)
    asked = asked.take(np.arange(6))
    whole = locate(answering, texts, asked, make(asked), answers)
    # As if the first word of an answer were common, and all words of another's.
    kept = np.ones(len(texts.ids), np.bool_)
    for question, last in ((1, whole.first[1] + 1), (4, whole.last[4] + 1)):
        start = int(texts.starts[question])
        kept[start + int(whole.first[question]) : start + int(last)] = False
    fewer = object.__new__(Texts)
    fewer.encoder = texts.encoder
    fewer.places, fewer.ids = texts.places[kept], texts.ids[kept]
    fewer.starts = np.concatenate([[0], np.cumsum(kept)])[texts.starts]
    found = locate(answering, fewer, asked, make(asked), answers)
    assert found.questions.tolist() == [0, 1, 2, 3, 5]
    assert found.first[1] == whole.first[1]
    assert found.last[1] == whole.last[1] - 1
