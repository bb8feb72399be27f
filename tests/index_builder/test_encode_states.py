"""The state store of a corpus: filled in chunks, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.bundle.state_codecs import Codec, Halves, Signs
from lurcher.bundle.state_store import StateStore, StateWriter, describe_states
from lurcher.index_builder.progress import Silent
from lurcher.index_builder.stages.encode_states import calibrate, encode_states
from lurcher.models.encoders.config import TOKENIZER_FILE
from lurcher.models.encoders.tokenizer import Tokenizer
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.seq2seq import RankerConfig, Seq2SeqEncoder
from tests.bundle.opened_stores import state_store

Array = npt.NDArray[Any]

WIDTH = 16
HASH = f"sha256:{'0' * 64}"
CONFIG = RankerConfig(
    name="stub", architecture="t5", dimension=WIDTH, max_tokens=12, max_query_tokens=8, start=0,
    end=102, score="likelihood", likelihood="mean", source=HASH, fingerprint=HASH,
)  # fmt: skip


class Table:
    """A graph whose states are a token's row of a table; it can be killed after some batches."""

    def __init__(self, batches: int | None = None) -> None:
        self.left = batches
        self.table = np.random.default_rng(0).standard_normal((30_522, WIDTH)).astype(np.float32)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        assert list(outputs) == ["last_hidden_state"]
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return [self.table[inputs["input_ids"]]]


def reader(threads: int = 2, batches: int | None = None) -> Seq2SeqEncoder:
    tokenizer = Tokenizer(DEFAULT_ENCODER / TOKENIZER_FILE, CONFIG.max_tokens)
    return Seq2SeqEncoder(CONFIG, tokenizer, Table(batches), threads)


@pytest.fixture
def passages(tmp_path: Path) -> Iterator[Passages]:
    """Six hundred passages, more than are read at a time; every seventh is empty, every fifth long."""
    texts = ["" if i % 7 == 0 else f"passage {i} " * (9 if i % 5 == 0 else 1) for i in range(600)]
    writer = PassageWriter(tmp_path / "passages.db")
    writer.append([Passage(str(i), text) for i, text in enumerate(texts)], len(texts), 0)
    writer.finish()
    found = Passages(tmp_path / "passages.db")
    yield found
    found.close()


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    (tmp_path / "bundle/segments/000000").mkdir(parents=True)
    return tmp_path / "bundle/segments/000000"


def opened(segment: Path, codec: Codec, count: int) -> StateStore:
    bundle, name = segment.parents[1], "segments/000000"
    if isinstance(codec, Signs):
        (bundle / "states").mkdir()
        codec.save(bundle / "states/signs.npz")
    return state_store(bundle, name, describe_states(bundle, name, codec, CONFIG), CONFIG, count)


@pytest.mark.parametrize("form", ["float16", "1-bit"])
def test_every_passage_has_its_states(passages: Passages, segment: Path, form: Any) -> None:
    codec = calibrate(passages, reader(), form, 0, Silent())
    assert codec.form == form
    encode_states(passages, reader(), codec, segment, Silent())
    store = opened(segment, codec, passages.count)
    rows = np.random.default_rng(0).permutation(passages.count)[:90]
    texts = [passage.content for passage in passages.get(rows.tolist())]
    for wanted, found in zip(reader().encode(texts), store.gather(rows), strict=True):
        np.testing.assert_array_equal(found, codec.unpack(codec.pack(wanted)))
    assert store.settings.truncated == sum(i % 5 == 0 and i % 7 != 0 for i in range(600))
    assert len(store.gather(np.array([7]))[0]) == 2  # an empty passage has its special tokens


def test_calibration_is_of_the_corpus_and_the_same_each_time(passages: Passages) -> None:
    once, again, other = (
        calibrate(passages, reader(threads), "1-bit", seed, Silent())
        for threads, seed in ((1, 0), (3, 0), (1, 1))
    )
    assert isinstance(once, Signs)
    assert isinstance(again, Signs)
    assert isinstance(other, Signs)
    np.testing.assert_array_equal(once.mean, again.mean)
    np.testing.assert_array_equal(once.scale, again.scale)
    assert (once.mean != other.mean).any()
    every = Signs.fit(
        np.concatenate(reader().encode([p.content for p in passages.get(range(600))]))
    )
    assert np.abs(once.mean - every.mean).max() < 0.2 * every.scale.min()


@pytest.mark.parametrize(("batches", "whole"), [(1, 0), (5, 256), (8, 512)])
def test_a_build_that_was_killed_goes_on(
    passages: Passages, segment: Path, tmp_path: Path, batches: int, whole: int
) -> None:
    codec = Halves(WIDTH)
    with pytest.raises(KeyboardInterrupt):
        encode_states(passages, reader(1, batches), codec, segment, Silent())
    with StateWriter(segment, codec, CONFIG.max_tokens) as store:
        assert store.passages == whole
    encode_states(passages, reader(), codec, segment, Silent())
    (tmp_path / "whole").mkdir()
    encode_states(passages, reader(), codec, tmp_path / "whole", Silent())
    for file in sorted((tmp_path / "whole").iterdir()):
        assert (segment / file.name).read_bytes() == file.read_bytes()


def test_a_store_that_is_whole_is_left_as_it_is(passages: Passages, segment: Path) -> None:
    codec = Halves(WIDTH)
    encode_states(passages, reader(), codec, segment, Silent())
    before = [file.read_bytes() for file in sorted(segment.iterdir())]
    encode_states(passages, reader(batches=0), codec, segment, Silent())
    assert [file.read_bytes() for file in sorted(segment.iterdir())] == before
