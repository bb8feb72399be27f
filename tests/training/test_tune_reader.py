"""A reader trained on: what distant supervision takes for right, its loss, and from files to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.errors import CorpusError, FieldError
from lurcher.models.reader.reader import READER_FILE
from lurcher.models.reader.reader import Reader as Served
from lurcher.training.ranker.train import Sources
from lurcher.training.reader.batches import Library
from lurcher.training.reader.distant import Asked, Found
from lurcher.training.reader.export import calibration_of, export_reader
from lurcher.training.reader.groups import Groups, Source, group_loss
from lurcher.training.reader.network import Reader, Shape
from lurcher.training.reader.occurrences import occurrences, pattern_of
from lurcher.training.reader.open_sources import Sheet, read_sheet
from lurcher.training.reader.tune import TunePlan, blend, tune_reader
from lurcher.training.reader.weights import restore
from tests.training.reading import ASKED, asked_of, description, small_schedule, write_sources

SHAPE = Shape(32, 16, 2, 1, 16)
Array = np.ndarray[Any, Any]


# --- where answers stand


@pytest.mark.parametrize(
    ("answers", "content", "wanted"),
    [
        (["The U.S."], "In the u s, USA and U.S.", ["u s", "U.S"]),
        (["art"], "artful art, Art-Deco", ["art", "Art"]),
        (["New York", "New York City"], "new york city; New  York", ["new york city", "New  York"]),
        (["14"], "in 1914 it had 14 (or 3.14)", ["14", "14"]),
        (["a"], "a b", ["a"]),
        (["C++ (language)"], "c++ language", ["c++ language"]),
    ],
)
def test_answers_are_whole_words_in_any_case(
    answers: list[str], content: str, wanted: list[str]
) -> None:
    pattern = pattern_of(answers)
    assert pattern is not None
    assert [found[0] for found in pattern.finditer(content)] == wanted


def test_what_holds_no_word_or_a_sentence_stands_nowhere() -> None:
    assert pattern_of(["🚁", " ", "--"]) is None
    assert pattern_of([" ".join(["word"] * 13)]) is None


def test_occurrences_are_counted_in_informative_tokens() -> None:
    content, pattern = "Ann met Mary Ann Evans", pattern_of(["mary ann"])
    assert pattern is not None
    spans = [(0, 3), (4, 7), (8, 12), (13, 16), (17, 22)]
    assert occurrences(pattern, content, spans, np.array([0, 2, 3, 4])) == [(1, 2)]
    assert occurrences(pattern, content, spans, np.array([0, 1, 3])) == [(2, 2)]
    assert occurrences(pattern, content, spans, np.array([0, 1, 4])) == []


# --- groups and their loss


def loss_by_hand(logits: Array, groups: list[list[int]], right: Array, doubt: list[float]) -> float:
    losses = []
    for rows, also in zip(groups, doubt, strict=True):
        for side in (0, 1):
            odds = np.exp(logits[rows, :, side])
            hit = odds[right[rows, :, side]].sum() + (also if right[rows].any() else 1.0)
            losses.append(np.log(odds.sum() + 1.0) - np.log(hit))
    return float(np.mean(losses))


def test_every_place_of_an_answer_counts_and_doubt_where_nobody_judged() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, 4, 2)) * 3
    right = np.zeros((5, 4, 2), bool)
    right[0, 1, 0] = right[0, 2, 1] = right[1, 0] = right[1, 3, 0] = right[3, 3] = True
    groups = [[0, 1], [2], [3, 4]]
    padded = torch.tensor([[0, 1], [2, -1], [3, 4]])
    for weak, doubt in (([False] * 3, [0.0] * 3), ([True] * 3, [0.1] * 3)):
        found = group_loss(
            torch.tensor(logits), padded, torch.tensor(right), torch.tensor(weak), 0.1
        )
        assert found.item() == pytest.approx(loss_by_hand(logits, groups, right, doubt))


def test_what_the_reader_is_sure_nothing_answers_teaches_it_little() -> None:
    group, right = torch.tensor([[0]]), torch.tensor([[[True, True], [False, False]]])

    def pull(logit: float, weak: bool) -> float:
        logits = torch.full((1, 2, 2), logit, requires_grad=True)
        group_loss(logits, group, right, torch.tensor([weak]), 0.05).backward()
        return -float(logits.grad[0, 0, 0])

    assert pull(-9.0, True) < 0.01 < 0.4 < pull(-9.0, False)
    assert pull(2.0, True) == pytest.approx(pull(2.0, False), abs=0.01)


@pytest.fixture(scope="module")
def groups(answering: Bundle, library: Library) -> Groups:
    judged, answers = asked_of(answering)
    asked = Asked(judged.texts, [answers[id_] for id_ in judged.ids])
    rows = np.stack([np.roll(np.arange(ASKED), -row)[:6] for row in range(ASKED)])
    spans = np.array(
        [
            (question, 0, int(first), int(last))
            for question, first, last in zip(
                library.answered.questions,
                library.answered.first,
                library.answered.last,
                strict=True,
            )
        ]
    )
    found = Found(rows, np.zeros(rows.shape, np.float32), spans)
    assert answering.reading is not None
    assert answering.tokens is not None
    return Groups(
        [Source("q", asked, found)], library.texts, answering.reading, answering.tokens.coder
    )


def test_a_group_is_read_as_its_passages_are_alone(groups: Groups, library: Library) -> None:
    torch.manual_seed(0)
    reader = Reader(SHAPE).eval()
    drawn = groups.draw(np.arange(8), np.random.default_rng(1))
    logits = drawn.logits(reader)
    whole = drawn.batch.logits(reader)
    there = drawn.batch.there
    torch.testing.assert_close(logits[there], whole[there], atol=1e-4, rtol=1e-4)
    for members, question in zip(drawn.batch.groups.tolist(), range(8), strict=True):
        first, last = library.answered.first[question], library.answered.last[question]
        marked = [one for one in members if drawn.right[one].any()]
        for one in marked:
            assert drawn.right[one, :, 0].nonzero().ravel().tolist() == [first]
            assert drawn.right[one, :, 1].nonzero().ravel().tolist() == [last]
        assert len(marked) <= 1
        assert sum(one >= 0 for one in members) == 3
    assert drawn.right.any()


# --- weights read back


@pytest.fixture(scope="module")
def start(library: Library, tmp_path_factory: pytest.TempPathFactory, answering: Bundle) -> Path:
    """A reader of the bundle's encoder that has learnt nothing."""
    folder = tmp_path_factory.mktemp("start")
    config = description(encoder=answering.encoder.fingerprint)
    export_reader(random_reader(), config, folder, calibration_of(library, 20, 0))
    return folder


def random_reader() -> Reader:
    """The same each time. No two of its parts are equal, as of none that is trained."""
    torch.manual_seed(3)
    reader = Reader(SHAPE)
    with torch.no_grad():
        for part in reader.parameters():
            part += 0.05 * torch.randn_like(part)
    return reader


def test_weights_are_those_that_were_exported_but_for_rounding(start: Path) -> None:
    wanted, found = (
        dict(random_reader().named_parameters()),
        dict(restore(start).named_parameters()),
    )
    assert wanted.keys() == found.keys()
    for name, part in wanted.items():
        step = part.abs().max().item() / 127
        torch.testing.assert_close(found[name], part, atol=step, rtol=0)


def test_the_weights_it_began_with_count_as_asked() -> None:
    ours, theirs = random_reader(), Reader(SHAPE)
    wanted = [
        0.7 * a + 0.3 * b for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    ]
    blend(ours, theirs, 0.3)
    for part, mean in zip(ours.parameters(), wanted, strict=True):
        torch.testing.assert_close(part, mean)
    for share in (-0.1, 1.0):
        with pytest.raises(FieldError, match="kept"):
            TunePlan(kept=share)


# --- from files to a folder


def test_reader_is_trained_on_from_files(
    start: Path, answering: Bundle, answering_path: Path, tmp_path: Path
) -> None:
    files, out, lines = write_sources(tmp_path, answering), tmp_path / "out", list[str]()
    assert files.development is not None
    plan = TunePlan(50, 20, 0.1, 0.5, small_schedule())
    sheets = [Sheet(files.queries, files.qrels), Sheet(files.queries)]
    held = [Sheet(*files.development), Sheet(files.development[0])]
    config = tune_reader(answering_path, start, sheets, held, out, plan, "on", lines.append)
    assert Served.load(out, 1).config == config
    assert {file.name for file in out.iterdir()} >= {READER_FILE, "reader.onnx", "reliability.svg"}
    assert (config.name, config.calibrated_by) == ("on", "training")
    assert config.calibration_corpus == answering.manifest.corpus_hash
    assert "dev_calibration_error_left_out" in config.figures
    assert any(line.startswith("step 6 of 6") for line in lines)
    with pytest.raises(FieldError, match="exists already"):
        tune_reader(answering_path, start, sheets, held, out, plan)


def test_judgements_of_other_questions_are_refused(answering: Bundle, tmp_path: Path) -> None:
    files: Sources = write_sources(tmp_path, answering)
    other = tmp_path / "other.tsv"
    other.write_text("query-id\tcorpus-id\tscore\nnobody\tp1\t1\n")
    with pytest.raises(CorpusError, match="is judged in it"):
        read_sheet(Sheet(files.queries, other), None, 0)
