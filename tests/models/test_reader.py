"""The reader that serves: what it fits to, and that each passage is read as if it were alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import load_config
from lurcher.models.engines import open_engine
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.reader.reader import (
    READER_FILE,
    READER_GRAPH,
    Reader,
    ReaderConfig,
    check_reader,
    load_reader_config,
)

SHIPPED = DEFAULT_ENCODER / "reader"
D = load_config(DEFAULT_ENCODER).dimension
Array = np.ndarray[Any, Any]
Asked = tuple[Array, Array]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load(SHIPPED, 1)


def units(draw: np.random.Generator, count: int) -> Array:
    found = draw.standard_normal((count, D)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def asked(length: int, seed: int = 0) -> Asked:
    """A query's states and weights."""
    draw = np.random.default_rng((1, seed))
    return units(draw, length), draw.dirichlet(np.ones(length)).astype(np.float32)


def passages(counts: Sequence[int], seed: int = 0) -> list[Asked]:
    """What is decoded of passages, and where it stands."""
    draw = np.random.default_rng((2, seed))
    return [(units(draw, n), np.sort(draw.permutation(2 * n)[:n])) for n in counts]


def read(reader: Reader, query: Asked, texts: Sequence[Asked]) -> list[Array]:
    """The logits of each passage."""
    counts = np.array([len(decoded) for decoded, _ in texts])
    decoded, places = (np.concatenate([text[part] for text in texts]) for part in (0, 1))
    logits = reader.logits(*query, decoded, places, counts)
    assert logits.shape == (counts.sum(), 2)
    assert logits.dtype == np.float32
    return np.split(logits, np.cumsum(counts)[:-1])


def check_alike(found: Sequence[Array], wanted: Sequence[Array]) -> None:
    """Equal but for rounding: other padding adds float32 numbers up otherwise, and INT8 may round by it."""
    room = 0.03 * np.concatenate(wanted).std()
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=room)


# --- batching


class Graph:
    """Stands for the graph: what it says of a token depends on all that it was told of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        assert outputs == ["logits"]
        decoded, places, counts = (inputs[name] for name in ("decoded", "places", "counts"))
        assert decoded.dtype == inputs["states"].dtype == inputs["weights"].dtype == np.float32
        assert places.dtype == counts.dtype == np.int64
        there = np.arange(decoded.shape[1]) < counts[:, None]
        assert not decoded[~there].any()
        assert not places[~there].any()
        self.seen.append(places.shape)
        # Padding says what would be found at once if it came out.
        found = np.stack([decoded.sum(axis=2) + inputs["weights"].sum(), places * 1.0], axis=2)
        return [np.where(there[..., None], found, np.float32(np.nan)).astype(np.float32)]


@pytest.mark.parametrize("threads", [1, 3])
@example(counts=[0, 3, 0, 2], seed=0)
@given(
    counts=st.lists(st.integers(0, 700), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1)
)
def test_each_token_is_told_of_itself(threads: int, counts: list[int], seed: int) -> None:
    config = load_reader_config(SHIPPED).model_copy(update={"dimension": 4})
    graph = Graph()
    reader = Reader(config, graph, threads)
    draw = np.random.default_rng(seed)
    decoded = draw.standard_normal((sum(counts), 4)).astype(np.float32)
    places, weights = draw.integers(0, 900, sum(counts)), np.full(2, 0.25, np.float32)
    query = np.zeros((2, 4), np.float32), weights
    found = reader.logits(*query, decoded, places, np.array(counts))
    np.testing.assert_array_equal(found[:, 1], places)
    np.testing.assert_allclose(found[:, 0], decoded.sum(axis=1) + 0.5, atol=1e-5)
    # What is in memory at once is bounded, but for one passage that is longer.
    assert all(rows == 1 or rows * wide <= 512 for rows, wide in graph.seen)


def test_nothing_is_run_where_there_is_nothing_to_read() -> None:
    graph = Graph()
    reader = Reader(load_reader_config(SHIPPED), graph, 1)
    none = np.zeros((0, D), np.float32), np.zeros(0, np.int64)
    assert read(reader, asked(2), [none, none])[1].shape == (0, 2)
    assert reader.logits(*asked(2), *none, np.zeros(0, np.int64)).shape == (0, 2)
    nobody = np.zeros((0, D), np.float32), np.zeros(0, np.float32)
    (found,) = read(reader, nobody, passages([3]))
    assert (found == 0).all()
    assert not graph.seen


# --- the graph that ships


def test_a_passage_is_read_alone_as_among_others(reader: Reader) -> None:
    query, texts = asked(7), passages([30, 0, 3, 90, 1, 0, 31, 200, 5])
    among = read(reader, query, texts)
    check_alike(among, [read(reader, query, [text])[0] for text in texts])
    # Not because it says the same of all.
    assert np.concatenate(among).std(axis=0).min() > 0.1


def test_order_of_passages_and_number_of_threads_do_not_count(reader: Reader) -> None:
    query, texts = asked(5), passages([12, 300, 0, 40, 250])
    wanted = read(reader, query, texts)
    check_alike(read(Reader.load(SHIPPED, 3), query, texts[::-1])[::-1], wanted)


@pytest.mark.parametrize("length", [1, 2, 70])
def test_queries_of_any_length(reader: Reader, length: int) -> None:
    found = read(reader, asked(length), passages([1, 9]))
    assert all(np.isfinite(one).all() for one in found)


def test_query_and_places_count(reader: Reader) -> None:
    (decoded, places), query = passages([20])[0], asked(6)
    (found,) = read(reader, query, [(decoded, places)])
    for other in (
        read(reader, asked(6, seed=1), [(decoded, places)]),
        read(reader, query, [(decoded, places * 5)]),
        read(reader, (query[0], query[1][::-1].copy()), [(decoded, places)]),
    ):
        assert np.abs(other[0] - found).max() > 0.04 * found.std()
    # Where a passage begins says nothing: how far apart its tokens are does.
    (moved,) = read(reader, query, [(decoded, places + 1_000)])
    np.testing.assert_allclose(moved, found, atol=1e-6)


def test_several_threads_may_ask_at_once(reader: Reader) -> None:
    query, texts = asked(4), passages([10, 25])
    wanted = read(reader, query, texts)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: read(reader, query, texts), range(12)):
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, other)


def test_what_is_given_is_not_written_to(reader: Reader) -> None:
    query, texts = asked(3), passages([4, 2])
    before = [part.copy() for pair in (query, *texts) for part in pair]
    read(reader, query, texts)
    for part, was in zip([p for pair in (query, *texts) for p in pair], before, strict=True):
        np.testing.assert_array_equal(part, was)


def test_what_ships_fits_the_encoder_that_ships(reader: Reader) -> None:
    check_reader(reader.config, load_config(DEFAULT_ENCODER))
    assert reader.config.bits <= D
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 25e6


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"encoder": f"sha256:{'0' * 64}"}, "another encoder: sha256:0000"),
        ({"dimension": 383}, "another dimension: 383, not 384"),
    ],
)
def test_a_reader_of_another_encoder_names_what_differs(
    reader: Reader, changed: dict[str, Any], reason: str
) -> None:
    config = reader.config.model_copy(update={"name": "tiny", **changed})
    with pytest.raises(ModelError, match=f"reader tiny does not fit: .*{reason}"):
        check_reader(config, load_config(DEFAULT_ENCODER))


def test_an_encoder_without_lower_states_has_nothing_to_read(reader: Reader) -> None:
    encoder = load_config(DEFAULT_ENCODER).model_copy(update={"lower_states": False})
    with pytest.raises(ModelError, match="does not fit: all-MiniLM-L6-v2 was exported without"):
        check_reader(reader.config, encoder)


# --- folders that are none


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that copies the reader that ships and changes what it says of itself."""

    def copy(**changes: Any) -> Path:
        found = tmp_path / "reader"
        shutil.copytree(SHIPPED, found)
        said = json.loads((found / READER_FILE).read_text()) | changes
        said = {name: value for name, value in said.items() if value is not None}
        (found / READER_FILE).write_text(json.dumps(said))
        return found

    return copy


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such folder"):
        Reader.load(tmp_path / "nowhere", 1)
    with pytest.raises(ModelNotFound, match=f"not a reader: it has no {READER_FILE}"):
        Reader.load(tmp_path, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bits": 17}, "bits: Input should be a multiple of 8"),
        ({"encoder": "sha256:x"}, "encoder: String should match"),
        ({"slope": 0}, "slope: Input should be greater than 0"),
        ({"min_score": 1.5}, "min_score: Input should be less than or equal to 1"),
        ({"offset": float("nan")}, "offset: Input should be a finite number"),
        ({"rank_weight": float("inf")}, "rank_weight: Input should be a finite number"),
        ({"longest": None}, "longest: Field required"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_descriptions_that_cannot_be(
    folder: Callable[..., Path], changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        Reader.load(folder(**changed), 1)


def test_graph_that_is_missing_or_cut_short(folder: Callable[..., Path]) -> None:
    found = folder()
    graph = found / READER_GRAPH
    whole = graph.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1], b"not ONNX", b""):
        graph.write_bytes(content)
        with pytest.raises(ModelError, match=READER_GRAPH):
            Reader.load(found, 1)
    graph.unlink()
    with pytest.raises(ModelError, match=READER_GRAPH):
        Reader.load(found, 1)


@pytest.mark.parametrize("other", ["encoder.onnx", "ranker/query.onnx", "ranker/pair.onnx"])
def test_a_graph_of_something_else_is_refused(folder: Callable[..., Path], other: str) -> None:
    found = folder()
    shutil.copyfile(DEFAULT_ENCODER / other, found / READER_GRAPH)
    # The encoder's weights lie beside it.
    shutil.copyfile(DEFAULT_ENCODER / "vocabulary.bin", found / "vocabulary.bin")
    with pytest.raises(ModelError, match="its graphs are not those that it describes"):
        Reader.load(found, 1)


def test_a_graph_of_another_dimension_is_refused(folder: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="its graphs are not those that it describes"):
        Reader.load(folder(dimension=D - 8), 1)


def test_a_graph_that_is_not_finite_is_refused(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, _: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
            found = np.full((*inputs["places"].shape, 2), np.nan, np.float32)
            return [found]

    monkeypatch.setattr("lurcher.models.reader.reader.open_engine", lambda *_: Broken())
    with pytest.raises(ModelError, match="a test run gave logits that are not finite"):
        Reader.load(folder(), 1)


def test_the_graph_has_the_inputs_that_its_docstring_says() -> None:
    engine = open_engine("onnxruntime", SHIPPED / READER_GRAPH, 1)
    states, weights = asked(2)
    ((decoded, places),) = passages([3])
    (found,) = engine.run(
        ["logits"],
        {
            "states": states, "weights": weights, "decoded": decoded[None], "places": places[None],
            "counts": np.array([3]),
        },
    )  # fmt: skip
    (wanted,) = read(Reader.load(SHIPPED, 1), (states, weights), [(decoded, places)])
    np.testing.assert_array_equal(found[0], wanted)


def test_a_description_says_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    config = load_reader_config(SHIPPED).model_copy(update={"figures": {"gold_F1": 0.5}})
    (tmp_path / READER_FILE).write_text(config.model_dump_json(indent=2))
    assert load_reader_config(tmp_path) == config
    assert isinstance(config, ReaderConfig)
