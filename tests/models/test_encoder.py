"""The shipped encoder: one vector a text, whatever shares its batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.encoder import TOKEN_BUDGET, TOKEN_STATES, VECTOR, Encoder
from lurcher.models.encoders.side_tokenizer import shared_prefix
from lurcher.models.encoders.tokenizer import Tokenizer
from lurcher.models.engines import Choice
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER

TEXTS = [
    "a cat",
    "The cat sleeps on the warm windowsill all afternoon.",
    "long " * 200,
    "",
    "Ein Gletscher formt sein Tal in Jahrtausenden.",
    "猫は窓辺で寝ている",
    "מים עמוקים",
    "👩‍👩‍👧‍👦",
    "\x00\x01\x02",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(DEFAULT_ENCODER, "query", threads=2)


def test_a_text_has_the_same_vector_alone_and_in_company(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert vector @ encoder.encode([text])[0] > 0.9999, text


def test_vectors_come_in_the_order_of_the_texts(encoder: Encoder) -> None:
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    assert (encoder.encode(TEXTS) * backwards).sum(axis=1).min() > 0.9999


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), max_size=6))
def test_any_text_has_a_vector_of_unit_norm(texts: list[str]) -> None:
    vectors = _ENCODER.encode(texts)
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


_ENCODER = Encoder.load(DEFAULT_ENCODER, "query", threads=1)


def test_meaning_is_near_meaning(encoder: Encoder) -> None:
    cat, kitten, tax = encoder.encode(["a cat asleep", "a kitten napping", "corporate tax law"])
    assert cat @ kitten > cat @ tax + 0.2


def test_a_text_beyond_the_limit_is_found_by_its_beginning(encoder: Encoder) -> None:
    start = "The glacier carves its valley. " * 60
    with_end, with_other_end = encoder.encode([start + "ice", start + "bread " * 100])
    assert with_end @ with_other_end > 0.9999


def test_one_thread_and_many_say_the_same(encoder: Encoder) -> None:
    many = TEXTS * 20
    one = Encoder.load(DEFAULT_ENCODER, "query", threads=1)
    assert (one.encode(many) * encoder.encode(many)).sum(axis=1).min() > 0.9999


def test_several_callers_at_once_each_get_their_own(encoder: Encoder) -> None:
    alone = encoder.encode(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encoder.encode(TEXTS), range(8)))
    assert min((alone * f).sum(axis=1).min() for f in found) > 0.9999


def test_each_side_has_its_own_prompt(tmp_path: Path, encoder: Encoder) -> None:
    folder = shutil.copytree(DEFAULT_ENCODER, tmp_path / "prompted")
    config = json.loads((folder / "config.json").read_text())
    config |= {"query_prompt": "query: ", "passage_prompt": "passage: "}
    (folder / "config.json").write_text(json.dumps(config))
    wanted = encoder.encode(["query: ice", "passage: ice"])
    query = Encoder.load(folder, "query", 1).encode(["ice"])[0]
    passage = Encoder.load(folder, "passage", 1).encode(["ice"])[0]
    assert query @ wanted[0] > 0.9999
    assert passage @ wanted[1] > 0.9999
    assert query @ passage < 0.999


def test_states_come_token_by_token_with_the_vectors(encoder: Encoder) -> None:
    tokens = encoder.tokenise(TEXTS)
    vectors, states = encoder.encode_states(tokens)
    np.testing.assert_array_equal(vectors, encoder.encode_tokens(tokens))
    for text, vector, found in zip(tokens, vectors, states, strict=True):
        assert found.shape == (len(text.ids), 384)
        assert found.dtype == np.float32
        assert found.base is None  # not a part of a whole batch, which would stay in memory
        pooled = found.mean(axis=0)
        assert vector @ pooled / np.linalg.norm(pooled) > 0.99999


def test_states_are_those_of_a_text_alone(encoder: Encoder) -> None:
    _, together = encoder.encode_states(encoder.tokenise(TEXTS))
    for text, found in zip(TEXTS, together, strict=True):
        _, (alone,) = encoder.encode_states(encoder.tokenise([text]))
        cosines = (found * alone).sum(axis=1) / (
            np.linalg.norm(found, axis=1) * np.linalg.norm(alone, axis=1)
        )
        assert cosines.min() > 0.99, text


def test_visitors_see_what_is_otherwise_kept(encoder: Encoder) -> None:
    tokens = encoder.tokenise(TEXTS * 5)
    vectors, states = encoder.encode_states(tokens)
    seen: dict[int, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}

    def look(text: int, found: Sequence[npt.NDArray[Any]]) -> None:
        assert text not in seen
        vector, own = found
        seen[text] = vector.copy(), own.copy()

    encoder.visit(tokens, [VECTOR, TOKEN_STATES], look)
    assert sorted(seen) == list(range(len(tokens)))
    for text, (vector, found) in seen.items():
        np.testing.assert_array_equal(vector, vectors[text])
        np.testing.assert_array_equal(found, states[text])


def test_lower_states_are_others_of_the_same_tokens(encoder: Encoder) -> None:
    tokens = encoder.tokenise(TEXTS)
    _, states = encoder.encode_states(tokens)
    lower = encoder.lower_states(tokens)
    assert [found.shape for found in lower] == [found.shape for found in states]
    assert all(np.isfinite(found).all() for found in lower)
    for found, last in zip(lower, states, strict=True):
        assert np.abs(found - last).max() > 0.1
    assert encoder.lower_states([]) == []


def test_what_a_visitor_raises_is_heard_of(encoder: Encoder) -> None:
    def refuse(*_: Any) -> None:
        raise KeyError("not this one")

    with pytest.raises(KeyError, match="not this one"):
        encoder.visit(encoder.tokenise(TEXTS * 5), [VECTOR], refuse)


@pytest.mark.parametrize("prompt", ["", "query: ", "Represent this sentence:"])
def test_a_texts_own_tokens_are_neither_special_nor_the_prompts(
    tmp_path: Path, encoder: Encoder, prompt: str
) -> None:
    folder = shutil.copytree(DEFAULT_ENCODER, tmp_path / "prompted")
    config = json.loads((folder / "config.json").read_text()) | {"passage_prompt": prompt}
    (folder / "config.json").write_text(json.dumps(config))
    prompted = Encoder.load(folder, "passage", 1)
    for text in ["a cat", "query: a", "", "word " * 400]:
        (tokens,), (plain,) = prompted.tokenise([text]), encoder.tokenise([text])
        own = tokens.ids[prompted.own_tokens(tokens)]
        bare = plain.ids[1:-1]  # without [CLS] and [SEP]
        assert own == bare[: len(own)]
        assert tokens.truncated or len(own) == len(bare)
        assert len(tokens.ids) == len(own) + 2 + len(encoder.tokenise([prompt])[0].ids[1:-1])


def test_every_token_is_in_the_vocabulary(encoder: Encoder) -> None:
    assert encoder.vocabulary == 30_522
    assert max(max(tokens.ids) for tokens in encoder.tokenise(TEXTS)) < encoder.vocabulary


def test_no_text_has_no_states(encoder: Encoder) -> None:
    vectors, states = encoder.encode_states([])
    assert vectors.shape == (0, 384)
    assert states == []


def test_the_teacher_reads_queries_with_the_passages_graph(tmp_path: Path) -> None:
    """And with the queries' prompt, whatever graph it is that queries are searched with."""
    folder = shutil.copytree(DEFAULT_ENCODER, tmp_path / "prompted")
    config = json.loads((folder / "config.json").read_text())
    config |= {"query_prompt": "query: ", "passage_prompt": "passage: ", "query_graph": "no.onnx"}
    (folder / "config.json").write_text(json.dumps(config))
    (found,) = Encoder.load(folder, "teacher", 1).encode(["ice"])
    (wanted,) = _ENCODER.encode(["query: ice"])
    np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ModelError, match=r"no\.onnx"):
        Encoder.load(folder, "query", 1)


class CountingEngine:
    """An engine that notes the shape of each batch and answers with ones."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        assert list(outputs) == ["vector"]
        self.shapes.append(inputs["input_ids"].shape)
        return [np.ones((len(inputs["input_ids"]), 384), np.float32)]


def counted(threads: int) -> tuple[Encoder, CountingEngine]:
    config, engine = load_config(DEFAULT_ENCODER), CountingEngine()
    tokenizer = Tokenizer(DEFAULT_ENCODER / "tokenizer.json", config.max_tokens)
    choice = Choice("counting", engine, "it counts")
    return Encoder(config, tokenizer, choice, "", threads), engine


def test_no_batch_is_larger_than_the_budget() -> None:
    encoder, engine = counted(threads=2)
    assert encoder.encode(["word " * (i % 250) for i in range(500)]).all()
    assert max(batch * length for batch, length in engine.shapes) <= TOKEN_BUDGET


def test_a_few_short_queries_are_read_by_one_thread_and_more_are_shared_out() -> None:
    encoder, engine = counted(threads=4)
    queries = [f"{number} short queries here" for number in ("two", "three", "four", "six")]
    encoder.encode(queries)
    assert [batch for batch, _ in engine.shapes] == [4]
    encoder.encode([f"{i} {query}" for i in range(16) for query in queries])
    assert len(engine.shapes) == 1 + 4


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such folder"):
        Encoder.load(tmp_path / "nothing", "query", 1)


def test_a_graph_that_onnxruntime_cannot_load_is_named(tmp_path: Path) -> None:
    graph = tmp_path / "encoder.onnx"
    graph.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"encoder\.onnx: no ONNX graph that can be read"):
        OnnxRuntimeEngine(graph, 1)


def test_an_engine_gives_the_outputs_in_the_order_asked() -> None:
    engine = OnnxRuntimeEngine(DEFAULT_ENCODER / "encoder.onnx", 1)
    inputs = {name: np.ones((2, 5), np.int64) for name in ("input_ids", "attention_mask")}
    states, vector = engine.run(["token_states", "vector"], inputs)
    assert states.shape == (2, 5, 384)
    assert vector.shape == (2, 384)


@pytest.mark.parametrize(
    ("without", "text", "before"),
    [([1], [1, 5, 5], 1), ([1, 2], [1, 5, 2], 1), ([], [5], 0), ([9], [5, 9], 0), ([3], [3], 1)],
)
def test_what_two_lists_begin_with(without: list[int], text: list[int], before: int) -> None:
    assert shared_prefix(without, text) == before
