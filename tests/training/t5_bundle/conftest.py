"""A small T5 from its checkpoint to a ranker, and a corpus for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from typer.testing import CliRunner

import lurcher.cli
from tests.training.t5_bundle.words import WORDS


@pytest.fixture(scope="session")
def texts() -> list[str]:
    draw = np.random.default_rng(5)
    found = [" ".join(draw.choice(WORDS, size=draw.integers(1, 50))) for _ in range(39)]
    return ["", *found]


@pytest.fixture(scope="session")
def corpus(texts: list[str], write_jsonl: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ({"id": str(i), "text": text, "n": i} for i, text in enumerate(texts))
    found: Path = write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", lines)
    return found


@pytest.fixture(scope="session")
def checkpoint(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of random weights, large enough that attention tells passages apart."""
    import torch

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


@pytest.fixture(scope="session")
def ranker(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ranker") / "t5"
    found = CliRunner().invoke(
        lurcher.cli.app,
        ["export-ranker", str(checkpoint), str(out), "--likelihood", "sum", "--max-tokens", "32"],
    )
    assert found.exit_code == 0, found.output
    assert "tiny, 32 dimensions, by likelihood" in " ".join(found.output.split())
    return out
