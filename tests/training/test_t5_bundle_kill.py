"""A build with a T5 that is killed, and the next that finishes it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import torch

import lurcher.cli
from lurcher.bundle.bundle import RANKER, SEGMENT, verify
from lurcher.bundle.state_codecs import SIGNS
from lurcher.index_builder.build import BuildOptions, build
from tests.index_builder.killing import CHUNK_SIZE, build_in_pieces, run
from tests.index_builder.test_resume import Recorder
from tests.tiny import TinyOptions

QUERY = "where does a lurcher go"
STATES, COUNTS = f"{SEGMENT}/states.bin", f"{SEGMENT}/states.idx"
WORDS = [*QUERY.split(), "dog", "it", "heat", "turns", "cycle", "water", "wind", "of", "the"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = np.random.default_rng(5)
    found = [" ".join(draw.choice(WORDS, size=draw.integers(1, 50))) for _ in range(39)]
    return ["", *found]


@pytest.fixture(scope="module")
def corpus(texts: list[str], write_jsonl: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ({"id": str(i), "text": text, "n": i} for i, text in enumerate(texts))
    found: Path = write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", lines)
    return found


@pytest.fixture(scope="module")
def checkpoint(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of random weights, large enough that attention tells passages apart."""
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    pieces = dict.fromkeys([f"▁{word}" for word in WORDS], -2.0)
    pieces |= dict.fromkeys(sorted(set("".join(WORDS))), -9.0) | {"▁": -9.0}
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    backend = Tokenizer(models.Unigram([*special, *pieces.items()], unk_id=2))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    torch.manual_seed(0)
    network = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
            decoder_start_token_id=0,
        )
    )  # fmt: skip
    for name, parameter in network.named_parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=2.0 if name == "shared.weight" else 0.3)
    network.save_pretrained(folder)
    transformers.T5TokenizerFast(
        tokenizer_object=backend, extra_ids=0, model_max_length=40
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def ranker(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ranker") / "t5"
    found = CliRunner().invoke(
        lurcher.cli.app,
        ["export-ranker", str(checkpoint), str(out), "--likelihood", "sum", "--max-tokens", "32"],
    )
    assert found.exit_code == 0, found.output
    assert "tiny, 32 dimensions, by likelihood" in " ".join(found.output.split())
    return out


# A build that is killed.

# The fail point, how often it is passed before the kill, and the file that is half written then.
PLACES: dict[str, tuple[str, int, str]] = {
    "signs half written": ("state codec: begun", 1, SIGNS),
    "signs written, and not noted": ("state codec: written", 1, ""),
    "some passages written": ("states.idx: passages appended", 1, STATES),
    "states written, and not noted": ("states: written", 1, ""),
}


def expression(ranker: Path) -> str:
    """The options of these builds, for another process."""
    return f"TinyOptions(tokens=None, ranker=Path({str(ranker)!r}), states='1-bit')"


def t5_options(ranker: Path) -> BuildOptions:
    return TinyOptions(tokens=None, ranker=ranker, states="1-bit")


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, ranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    build_in_pieces(corpus, out, t5_options(ranker))
    return out


@pytest.mark.parametrize("name", PLACES)
def test_a_killed_build_is_finished_by_the_next(
    corpus: Path, ranker: Path, undisturbed: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.lurcher"
    status, error = run(corpus, out, *PLACES[name], options=expression(ranker))
    assert status == -signal.SIGKILL, error
    assert not out.exists()
    recorder = Recorder()
    build_in_pieces(corpus, out, t5_options(ranker), recorder)
    if name == "some passages written":  # what is there is not made again
        assert recorder.resumed["states"] == CHUNK_SIZE
    assert verify(out) == []
    for file in (STATES, COUNTS, SIGNS):
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes(), name


def test_a_rerun_without_a_ranker_leaves_no_states(
    corpus: Path, ranker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    place = PLACES["states written, and not noted"]
    status, error = run(corpus, out, *place, options=expression(ranker))
    assert status == -signal.SIGKILL, error
    build(corpus, out, TinyOptions(tokens=None))
    assert verify(out) == []
    for name in (STATES, COUNTS, SIGNS, RANKER):
        assert not (out / name).exists()
