"""``python -m experiments.t5_states``: what it costs to keep T5 states at one bit a dimension.

A small T5 learns to write queries for passages of made-up words, then ranks candidates by their
likelihood, from the states as they are, as float16 and as bits. Words are of kinds; a passage has one
word of each kind, in any order; a query has a passage's words of a few kinds, in the kinds' order. Of
those the other candidates have all but one, or fewer: finding the passage takes every word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from lurcher.bundle.state_codecs import Codec, Halves, Signs
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder, Seq2SeqEncoder
from lurcher.training.ranker.t5 import export_t5

_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_KINDS, _A_KIND, _QUERY = 12, 32, 4
_BATCH, _RATE, _WARMUP = 32, 3e-3, 200

Words = npt.NDArray[np.int64]


def compare(
    work: Path,
    *,
    steps: int = 3_000,
    queries: int = 300,
    candidates: int = 50,
    width: int = 64,
    seed: int = 0,
) -> dict[str, float]:
    """MRR by the form of the states, of a T5 of ``width`` dimensions trained for ``steps`` in ``work``."""
    rng = np.random.default_rng(seed)
    _train(work / "t5", steps, width, rng, seed)
    export_t5(work / "t5", work / "ranker")
    encoder = Seq2SeqEncoder.load(work / "ranker", 1)
    decoder = Seq2SeqDecoder.load(work / "ranker", 1)
    sample = rng.permuted(_draw(256, rng), axis=1)
    signs = Signs.fit(np.concatenate(encoder.encode([_text(one) for one in sample])))
    codecs: dict[str, Codec] = {"float16": Halves(width), "1-bit": signs}
    ranks = {"float32": 0.0, **dict.fromkeys(codecs, 0.0)}
    for query, passages in _tasks(queries, candidates, rng):
        states = encoder.encode([_text(one) for one in passages])
        forms = {
            "float32": states,
            **{n: [c.unpack(c.pack(one)) for one in states] for n, c in codecs.items()},
        }
        for name, kept in forms.items():
            scores = decoder.scores(_text(query), kept)
            ranks[name] += 1 / int((scores >= scores[0]).sum()) / queries
    return ranks


def _train(folder: Path, steps: int, width: int, rng: np.random.Generator, seed: int) -> None:
    """Write a T5 that was trained for ``steps`` on passages and their queries."""
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=len(_SPECIAL) + _KINDS * _A_KIND, d_model=width, d_kv=width // 4, d_ff=2 * width,
        num_layers=1, num_heads=4, dropout_rate=0.0, decoder_start_token_id=0,
    )  # fmt: skip
    network = T5ForConditionalGeneration(config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.0)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / _WARMUP, 1 - step / steps)
    )
    for _ in range(steps):
        passages = _draw(_BATCH, rng)
        queries = np.take_along_axis(passages, _kinds(_BATCH, rng), axis=1)
        read = rng.permuted(passages, axis=1)
        loss = network(input_ids=_ids(read), labels=_ids(queries)).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rate.step()
    network.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _draw(count: int, rng: np.random.Generator) -> Words:
    """Passages (count, _KINDS), by kind: one word of each."""
    return np.arange(_KINDS) * _A_KIND + rng.integers(0, _A_KIND, (count, _KINDS))


def _kinds(count: int, rng: np.random.Generator) -> Words:
    """The kinds (count, _QUERY), one after the other, that as many queries ask for."""
    return rng.integers(0, _KINDS - _QUERY + 1, (count, 1)) + np.arange(_QUERY)


def _tasks(
    queries: int, candidates: int, rng: np.random.Generator
) -> Iterator[tuple[Words, Words]]:
    """A query (_QUERY,) and its candidates (candidates, _KINDS), of which the first is the right one."""
    for kinds in _kinds(queries, rng):
        passages = _draw(candidates, rng)
        query = passages[0, kinds]
        for passage, shared in zip(passages[1:], rng.integers(0, _QUERY, candidates), strict=False):
            same = rng.permutation(_QUERY)[:shared]
            passage[kinds[same]] = query[same]
        yield query, rng.permuted(passages, axis=1)


def _ids(words: Words) -> torch.Tensor:
    """Token ids (n, L + 1), with the end."""
    ends = np.ones((len(words), 1), np.int64)
    return torch.from_numpy(np.concatenate([words + len(_SPECIAL), ends], axis=1))


def _text(words: Words) -> str:
    return " ".join(f"w{word}" for word in words)


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = [*_SPECIAL.values(), *(f"w{word}" for word in range(_KINDS * _A_KIND))]
    ids = {word: i for i, word in enumerate(vocabulary)}
    backend = Tokenizer(models.WordLevel(ids, unk_token=_SPECIAL["unk_token"]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **_SPECIAL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        for form, quality in compare(Path(work)).items():
            print(f"{form:>8}  MRR {quality:.3f}")
