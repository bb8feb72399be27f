"""A build with a T5 that is killed, and the next that finishes it."""

from __future__ import annotations

import signal
import subprocess
import sys
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
from lurcher.bundle.state_store import SIGNS
from lurcher.index_builder.build import BuildOptions, build

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

COMMAND = """
import os, signal, sys
from lurcher.bundle import state_store as store
from lurcher.index_builder import states, workspace
states._CHUNK = 8
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{prologue}
from lurcher import cli
sys.argv = ["lurcher", "build", *sys.argv[1:]]
cli.main()
"""
PLACES = {
    "signs half written": """
states.Signs.save = lambda self, file: (file.write_bytes(b"PK half"), kill())
""",
    "signs written, and not noted": """
done = workspace.Workspace.done
workspace.Workspace.done = lambda self, s: kill() if s == "signs" else done(self, s)
""",
    "some passages written": """
append = store.StateWriter.append
def some(self, *given):
    append(self, *given)
    if self.passages >= 16:
        self._states.write(b"half of the next")
        self._states.flush()
        kill()
states.StateWriter.append = some
""",
    "states written, and not noted": """
done = workspace.Workspace.done
workspace.Workspace.done = lambda self, s: kill() if s == "states" else done(self, s)
""",
}


def run(corpus: Path, out: Path, ranker: Path, prologue: str) -> int:
    flags = ["--no-tokens", "--ranker", str(ranker), "--states", "1-bit"]
    command = [sys.executable, "-c", COMMAND.format(prologue=prologue), str(corpus), str(out)]
    root = Path(__file__).parents[2]
    return subprocess.run([*command, *flags], capture_output=True, cwd=root, check=False).returncode


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, ranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    assert run(corpus, out, ranker, "") == 0
    return out


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_build_is_finished_by_the_next(
    corpus: Path, ranker: Path, undisturbed: Path, tmp_path: Path, place: str
) -> None:
    out = tmp_path / "out.lurcher"
    assert run(corpus, out, ranker, PLACES[place]) == -signal.SIGKILL
    assert not out.exists()
    if place == "some passages written":  # what is there is not made again
        again = (
            "\ndef check(self, *given):\n    assert self.passages >= 16\n    append(self, *given)\n"
        )
        prologue = "append = store.StateWriter.append" + again + "states.StateWriter.append = check"
        assert run(corpus, out, ranker, prologue) == 0
    else:
        assert run(corpus, out, ranker, "") == 0
    assert verify(out) == []
    for name in (STATES, COUNTS, SIGNS):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_a_rerun_without_a_ranker_leaves_no_states(
    corpus: Path, ranker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    assert run(corpus, out, ranker, PLACES["states written, and not noted"]) == -signal.SIGKILL
    build(corpus, out, BuildOptions(tokens=None))
    assert verify(out) == []
    for name in (STATES, COUNTS, SIGNS, RANKER):
        assert not (out / name).exists()
