"""Scores from an encoder-decoder's logits; transformers' own agree with them in tests/training/test_t5.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import models, pre_tokenizers, processors

from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.models.encoders.encoder import TOKEN_BUDGET
from lurcher.models.encoders.tokenizer import Tokenizer
from lurcher.models.ranker.seq2seq import (
    RankerConfig,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    Words,
    load_ranker_config,
    score_logits,
)

Array = npt.NDArray[Any]

WIDTH = 4
VOCABULARY = ["<pad>", "</s>", "<unk>", "true", "false", "a", "lurcher", "fetches", "heat"]
HASH = f"sha256:{'0' * 64}"
WORDS = Words(true=3, false=4)


def config(**changes: Any) -> RankerConfig:
    return RankerConfig(
        **{
            "name": "stub", "architecture": "t5", "dimension": WIDTH, "max_tokens": 6,
            "max_query_tokens": 5, "start": 0, "end": 1, "score": "likelihood",
            "likelihood": "sum", "source": HASH, "fingerprint": HASH, **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokeniser of nine words that ends each text by ``</s>``, and a configuration."""
    folder = tmp_path_factory.mktemp("ranker")
    ids = {word: i for i, word in enumerate(VOCABULARY)}
    backend = HubTokenizer(models.WordLevel(ids, unk_token=VOCABULARY[2]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    backend.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(config().model_dump_json())
    return folder


class Stub:
    """Both graphs, of a table of states and one of logits; notes how large the batches were."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.states = rng.standard_normal((len(VOCABULARY), WIDTH)).astype(np.float32)
        self.logits = rng.standard_normal((WIDTH, len(VOCABULARY))).astype(np.float32)
        self.batches: list[int] = []

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        ids = inputs["input_ids"]
        self.batches.append(len(ids))
        if list(outputs) == ["last_hidden_state"]:
            return [self.states[ids] + inputs["attention_mask"].sum(axis=1)[:, None, None]]
        assert list(outputs) == ["logits"]
        states, mask = inputs["encoder_hidden_states"], inputs["encoder_attention_mask"]
        assert states.dtype == np.float32
        assert not states[mask == 0].any()
        seen = mask / np.maximum(1, mask.sum(axis=1, keepdims=True))
        met = np.einsum("bld,bl->bd", states, seen)  # (B, d), as even attention has it
        read = self.states[ids].cumsum(axis=1)  # each place knows what was before
        return [np.tanh(read + met[:, None]) @ self.logits]


def decoder(folder: Path, stub: Stub, threads: int = 1, **changes: Any) -> Seq2SeqDecoder:
    settings = config(**changes)
    tokenizer = Tokenizer(folder / "tokenizer.json", settings.max_query_tokens)
    return Seq2SeqDecoder(settings, tokenizer, stub, threads)


def encoder(folder: Path, stub: Stub, threads: int = 1, **changes: Any) -> Seq2SeqEncoder:
    settings = config(**changes)
    tokenizer = Tokenizer(folder / "tokenizer.json", settings.max_tokens)
    return Seq2SeqEncoder(settings, tokenizer, stub, threads)


def some_states(count: int, longest: int, seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, count)
    return [rng.standard_normal((length, WIDTH)).astype(np.float32) for length in lengths]


def plain(logits: Array, ids: list[int], settings: RankerConfig) -> float:
    """The plain twin, of one passage's logits (n + 1, vocabulary), in float64 and as it is written."""
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    asked = ids if settings.words else [*ids, settings.end]
    logs = [np.log(p[place, token]) for place, token in enumerate(asked)]
    likelihood = sum(logs) / (len(logs) or 1) if settings.likelihood == "mean" else sum(logs)
    if settings.words is None:
        return float(likelihood)
    relevance = np.log(p[len(ids), settings.words.true]) - np.log(p[len(ids), settings.words.false])
    return float({"likelihood": likelihood, "relevance": relevance}.get(
        settings.score, likelihood + relevance
    ))  # fmt: skip


@given(
    ids=st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=5),
    form=st.sampled_from([
        ("likelihood", None), ("likelihood", WORDS), ("relevance", WORDS), ("both", WORDS)
    ]),
    likelihood=st.sampled_from(["sum", "mean"]),
    data=st.data(),
)  # fmt: skip
def test_scores_are_those_of_the_plain_twin(
    ids: list[int], form: tuple[str, Words | None], likelihood: str, data: st.DataObject
) -> None:
    shape = (3, len(ids) + 1, len(VOCABULARY))
    logits = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-60, 60, width=32)))
    settings = config(score=form[0], words=form[1], likelihood=likelihood)
    found = score_logits(logits, ids, settings)
    assert found.dtype == np.float32
    for one, score in zip(logits, found, strict=True):
        assert score == pytest.approx(plain(one, ids, settings), abs=1e-3, rel=1e-5)


def test_large_logits_do_not_overflow() -> None:
    logits = np.full((1, 1, len(VOCABULARY)), -3e4, np.float32)
    logits[0, 0, 1] = 3e4
    assert score_logits(logits, [], config())[0] == 0
    assert score_logits(-logits, [], config())[0] == pytest.approx(-6e4, rel=1e-3)


@given(
    states=st.lists(hnp.arrays(np.float16, st.tuples(st.integers(0, 9), st.just(WIDTH)),
                               elements=st.floats(-4, 4, width=16)), max_size=8),
    query=st.lists(st.sampled_from(VOCABULARY[3:]), max_size=7),
    threads=st.sampled_from([1, 2]),
)  # fmt: skip
def test_a_passage_scores_the_same_alone_and_in_company(
    folder: Path, states: list[Array], query: list[str], threads: int
) -> None:
    judge = decoder(folder, Stub(), threads, words=WORDS, score="both")
    together = judge.scores(" ".join(query), states)
    assert together.shape == (len(states),)
    alone = [judge.scores(" ".join(query), [one])[0] for one in states]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_decoder_reads_the_start_and_the_query_and_is_asked_for_the_query_and_its_end(
    folder: Path,
) -> None:
    stub, states = Stub(), some_states(1, 5)
    score = decoder(folder, stub).scores("a lurcher", states)[0]
    inputs = {
        "input_ids": np.array([[0, 5, 6]]),
        "encoder_hidden_states": states[0][None],
        "encoder_attention_mask": np.ones((1, len(states[0])), np.int64),
    }
    assert score == pytest.approx(plain(stub.run(["logits"], inputs)[0][0], [5, 6], config()))


def test_a_query_is_cut_and_its_prompt_comes_first(folder: Path) -> None:
    states = some_states(3, 5)
    cut = decoder(folder, Stub()).scores("a lurcher fetches a lurcher fetches", states)
    np.testing.assert_array_equal(
        cut, decoder(folder, Stub()).scores("a lurcher fetches a", states)
    )
    prompted = decoder(folder, Stub(), query_prompt="heat ").scores("a", states)
    np.testing.assert_array_equal(prompted, decoder(folder, Stub()).scores("heat a", states))


def test_a_passage_without_states_scores_as_the_query_alone(folder: Path) -> None:
    nothing = np.zeros((0, WIDTH), np.float32)
    judge = decoder(folder, Stub())
    for company in ([], some_states(3, 5)):
        found = judge.scores("a lurcher", [nothing, *company])[0]
        assert found == pytest.approx(judge.scores("a lurcher", [np.zeros((1, WIDTH))])[0])


def test_states_of_another_width_are_refused(folder: Path) -> None:
    with pytest.raises(FieldError, match="states: have 5 dimensions, not the ranker's 4"):
        decoder(folder, Stub()).scores("a", [*some_states(1, 3), np.zeros((2, 5), np.float32)])


def test_a_batch_of_short_passages_is_bounded_by_the_query(folder: Path) -> None:
    stub = Stub()
    short = [np.ones((1, WIDTH), np.float32)] * 400
    decoder(folder, stub, max_query_tokens=32).scores("a lurcher fetches " * 10, short)
    assert max(stub.batches) == TOKEN_BUDGET // 31
    assert sum(stub.batches) == 400


@pytest.mark.parametrize("threads", [1, 3])
def test_states_come_in_the_order_of_the_texts(folder: Path, threads: int) -> None:
    texts = ["a", "", "a lurcher fetches heat", "lurcher " * 50, "a lurcher"]
    found = encoder(folder, Stub(), threads).encode(texts)
    assert [len(one) for one in found] == [2, 1, 5, 6, 3]
    for text, states in zip(texts, found, strict=True):
        np.testing.assert_array_equal(encoder(folder, Stub()).encode([text])[0], states)


def test_a_passage_is_cut_and_its_prompt_comes_first(folder: Path) -> None:
    one = encoder(folder, Stub(), passage_prompt="heat ")
    tokens = one.tokenise(["a", "a lurcher " * 9])
    assert [t.ids for t in tokens] == [[8, 5, 1], [8, 5, 6, 5, 6, 1]]
    assert [t.truncated for t in tokens] == [False, True]


def test_no_text_has_no_states_and_no_score(folder: Path) -> None:
    assert encoder(folder, Stub(), 2).encode([]) == []
    assert decoder(folder, Stub(), 2).scores("a", []).shape == (0,)


def test_a_score_by_words_needs_words() -> None:
    for score in ("relevance", "both"):
        with pytest.raises(ValidationError, match=f"score {score} needs words"):
            config(score=score)


def test_a_folder_that_is_no_ranker_is_refused(folder: Path, tmp_path: Path) -> None:
    assert load_ranker_config(folder) == config()
    with pytest.raises(ModelNotFound, match=r"not a ranker: it has no config\.json"):
        Seq2SeqDecoder.load(tmp_path, 1)
    with pytest.raises(ModelError, match=r"encoder\.onnx: no ONNX graph that can be read"):
        Seq2SeqEncoder.load(folder, 1)
    with pytest.raises(ModelError, match=r"decoder\.onnx: no ONNX graph that can be read"):
        Seq2SeqDecoder.load(folder, 1)


def test_ids_beyond_the_vocabulary_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    other = config(words=Words(true=3, false=9), score="both")
    (tmp_path / "config.json").write_text(other.model_dump_json())
    with pytest.raises(ModelError, match="token 9 is not one of the tokeniser's 9"):
        Seq2SeqDecoder.load(tmp_path, 1)
