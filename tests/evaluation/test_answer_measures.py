"""SQuAD's measures of answers against its official script, calibration, and where right answers are read."""

from __future__ import annotations

import gzip
import json
import re
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.evaluation.answer_measures import calibration_error, exact_match, f1, read_answers


def official_words(text: str) -> str:
    """``normalize_answer`` of evaluate-v1.1.py, step by step as it stands there."""
    text = text.lower()
    text = "".join(ch for ch in text if ch not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(text.split())


def official_f1(answer: str, gold: str) -> float:
    """``f1_score`` of evaluate-v1.1.py."""
    answer_words, gold_words = official_words(answer).split(), official_words(gold).split()
    same = sum((Counter(answer_words) & Counter(gold_words)).values())
    if same == 0:
        return 0
    precision, recall = same / len(answer_words), same / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


texts = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(["a", "The", "an", "cat", "cats", "CAT", "U.S.", "-", "\u00a0", "“é”"])
    ).map(" ".join),
)


@given(answer=texts, golds=st.lists(texts, min_size=1, max_size=4))
def test_both_measures_are_the_official_script_s(answer: str, golds: list[str]) -> None:
    exact = max(float(official_words(answer) == official_words(gold)) for gold in golds)
    assert exact_match(answer, golds) == exact
    assert f1(answer, golds) == pytest.approx(max(official_f1(answer, gold) for gold in golds))


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "overlap"),
    [
        ("The Norman  conquest!", "norman conquest", 1, 1),
        ("theatre", "atre", 0, 0),  # an article is a whole word
        ("U.S.", "us", 1, 1),
        ("“Norman”", "Norman", 0, 0),  # only ASCII's punctuation goes
        ("in 1066 or so", "1066", 0, 0.4),
        ("the the", "the", 1, 0),  # nothing is left, as the script has it
        ("ha ha", "ha ha ha", 0, 0.8),
        ("", "Norman", 0, 0),
    ],
)
def test_what_counts_as_the_same(answer: str, gold: str, exact: float, overlap: float) -> None:
    assert exact_match(answer, [gold]) == exact
    assert f1(answer, [gold]) == pytest.approx(overlap)


def test_the_nearest_of_several_counts() -> None:
    golds = ["William the Conqueror", "William", "Duke of Normandy"]
    assert exact_match("william", golds) == 1
    assert f1("Duke William of Normandy", golds) == pytest.approx(6 / 7)


@pytest.mark.parametrize(("answer", "value"), [("", 1), (" The.", 1), ("Norman", 0)])
def test_where_nothing_answers_only_nothing_is_right(answer: str, value: float) -> None:
    assert exact_match(answer, []) == f1(answer, []) == value


def test_calibration_is_how_far_scores_are_from_what_is_right() -> None:
    # Two bins: .1 and .3 said where half was right, .8 and .8 where all was.
    scores, right = np.array([0.8, 0.1, 0.8, 0.3]), np.array([1.0, 0.0, 1.0, 1.0])
    assert calibration_error(scores, right, 2) == pytest.approx((0.3 + 0.2) / 2)
    assert calibration_error(scores, right, 1) == pytest.approx(0.25)
    assert calibration_error(scores, scores, 3) == 0
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40, unique=True),
    seed=st.integers(0, 9),
)
def test_calibration_is_within_bounds_whatever_the_order(
    pairs: list[tuple[float, bool]], seed: int
) -> None:
    scores, right = np.array([p for p, _ in pairs]), np.array([float(r) for _, r in pairs])
    found = calibration_error(scores, right, 5)
    assert abs(scores.mean() - right.mean()) - 1e-9 <= found <= np.abs(scores - right).mean() + 1e-9
    if len(set(scores)) == len(scores):  # which of a tie goes into which bin is the order's
        order = np.random.default_rng(seed).permutation(len(scores))
        assert calibration_error(scores[order], right[order], 5) == pytest.approx(found)


def test_answers_come_in_file_order_for_queries_that_have_them(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(
        '{"_id": "q", "text": "who", "answers": ["b", "a"]}\n\n{"_id": 2, "text": "what"}\n'
        '{"_id": "3", "text": "no", "answers": null}\n{"id": 1, "text": "t", "answers": [""]}\n'
        '{"_id": "5", "text": "nothing", "answers": []}\n'
    )
    assert list(read_answers(path).items()) == [("q", ["b", "a"]), ("1", [""]), ("5", [])]
    zipped = tmp_path / "queries.jsonl.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert read_answers(zipped) == read_answers(path)


@pytest.mark.parametrize("answers", ["a", {"text": "a"}, [1], ["a", None], 0])
def test_bad_answers_are_an_error_with_their_line(tmp_path: Path, answers: object) -> None:
    path = tmp_path / "queries.jsonl"
    record = json.dumps({"_id": "q2", "text": "t", "answers": answers})
    path.write_text(f'{{"_id": "q1", "text": "t", "answers": ["a"]}}\n\n{record}\n')
    with pytest.raises(CorpusError, match="line 3: answers needs to be a list of texts") as caught:
        read_answers(path)
    assert (caught.value.file, caught.value.line) == (path, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"_id": "q", "text": "t"}', "no query in it has answers"),
        ("", "no query in it"),
        ('{"text": "t", "answers": ["a"]}', "line 1: needs an _id"),
        ('{"_id": "q", "text": "t", "answers": ["a"]', "line 1: not JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match=reason):
        read_answers(path)
    with pytest.raises(CorpusError, match="No such file"):
        read_answers(tmp_path / "absent.jsonl")
