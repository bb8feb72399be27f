"""A T5 as a ranker's folder: encoder and decoder taken apart, and checked.

Optimum traces both (``text2text-generation``, the form without cached keys and values: a query is read
in one pass, so there is nothing to keep between passes). A checkpoint trained to write a passage's
queries (doc2query) scores by their likelihood; one trained to write "true" or "false" after the query
(ED2LM, Hui et al. 2022) by those words.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from lurcher.errors import FieldError, ModelError, ParityError
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, fingerprint
from lurcher.models.ranker.seq2seq import (
    DECODER_GRAPH,
    ENCODER_GRAPH,
    RankerConfig,
    ScoreForm,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    Words,
)
from lurcher.training.graph import OPSET, quiet_tracing
from lurcher.training.original import Array, hash_weights, locate

# Their decoders attend to nothing but their own tokens and the encoder's states.
_ARCHITECTURES = ("t5", "mt5")
_USUAL_TOKENS = 512

# fp32 differs only by the order of sums. Measured on T5s of random weights: 4e-6 and 4e-6.
_STATES = 1e-3
_SCORE = 1e-3  # nats

_PASSAGES = (
    "",
    "a",
    "?!... -- ()",
    "Insulin lowers the concentration of glucose in the blood.",
    "naïve café, Ångström, 12.5 µm, x² + y² = z²",
    "数据库索引如何加快查询速度?",
    "https://example.org/a/b?c=d&e=%20f#g",
    "A lurcher is the offspring of a sighthound crossed with a working dog. " * 6,
)
_LONG = " beyond the limit of every model"
_QUERIES = ("", "what does insulin do", "lurcher", "naïve 数据库 (x²)?" * 40)


@dataclass(frozen=True)
class Original:
    """The loaded checkpoint: weights and tokeniser."""

    folder: Path
    model: Any
    tokenizer: Any

    def tokenise(self, text: str, limit: int) -> list[int]:
        """The token ids of ``text``, cut to ``limit``."""
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=limit).input_ids
        return ids

    def states(self, ids: list[int]) -> Array:
        """The encoder's states (L, d) of one text, without padding."""
        with torch.inference_mode():
            found: Array = self.model.encoder(torch.tensor([ids])).last_hidden_state[0].numpy()
        return found

    def score(self, passage: list[int], query: list[int], config: RankerConfig) -> float:
        """The score of one pair, both texts with their end, by torch's own softmax in float64."""
        words = config.words
        labels = torch.tensor([query if words is None else [*query[:-1], words.true]])
        with torch.inference_mode():
            out = self.model(input_ids=torch.tensor([passage]), labels=labels)
            log_p = torch.log_softmax(out.logits[0].double(), dim=-1)
        asked = query if words is None else query[:-1]
        found = 0.0
        if config.score != "relevance" and asked:
            mean = -torch.nn.functional.nll_loss(log_p[: len(asked)], torch.tensor(asked)).item()
            found += mean * (len(asked) if config.likelihood == "sum" else 1)
        if config.score != "likelihood" and words is not None:
            found += (log_p[-1, words.true] - log_p[-1, words.false]).item()
        return found


def export_t5(
    model: str | Path,
    out: Path,
    *,
    name: str | None = None,
    max_tokens: int | None = None,
    max_query_tokens: int = 64,
    passage_prompt: str = "",
    query_prompt: str = "",
    words: tuple[str, str] | None = None,
    score: ScoreForm | None = None,
    likelihood: Literal["sum", "mean"] = "mean",
) -> RankerConfig:
    """The configuration of the ranker written to ``out``, a new folder.

    ``model`` is the folder or hub name of a T5ForConditionalGeneration. ``words`` are those that it was
    trained to write after a query that its passage answers, and one that it does not; without them it
    was trained to write the query alone. ``score`` None is relevance where there are words. Raises
    FieldError, ModelNotFound, ModelError and ParityError, and leaves nothing behind then.
    """
    if out.exists():
        raise FieldError("out", f"{out} exists already; name a new folder or remove it first")
    if words is None and score not in (None, "likelihood"):
        raise FieldError("score", f"{score} needs the words that the model writes after a query")
    original = load_original(locate(model))
    tokenizer, settings = original.tokenizer, original.model.config
    if max_tokens is None:
        max_tokens = min(_USUAL_TOKENS, tokenizer.model_max_length)
    for field, limit in (("max_tokens", max_tokens), ("max_query_tokens", max_query_tokens)):
        if limit < 2:
            raise FieldError(field, f"must be at least 2, a token and the end, not {limit}")
    found = None if words is None else _word_ids(tokenizer, words)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside ``out``, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        made = Path(work) / "made"
        made.mkdir()
        _trace(original, Path(work) / "traced", made)
        backend = tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        backend.save(str(made / TOKENIZER_FILE), pretty=False)
        config = RankerConfig(
            name=name or (Path(model).resolve().name if Path(model).is_dir() else str(model)),
            architecture=settings.model_type,
            dimension=settings.d_model,
            max_tokens=max_tokens,
            max_query_tokens=max_query_tokens,
            passage_prompt=passage_prompt,
            query_prompt=query_prompt,
            start=settings.decoder_start_token_id,
            end=settings.eos_token_id,
            words=found,
            score=score or ("likelihood" if found is None else "relevance"),
            likelihood=likelihood,
            source=hash_weights(original.folder),
            # States are compared with nothing, so there is no similarity.
            fingerprint=fingerprint(made, ENCODER_GRAPH, max_tokens, passage_prompt, ""),
        )
        (made / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        check_parity(original, made)
        made.rename(out)
    return config


def load_original(folder: Path) -> Original:
    """The checkpoint in ``folder``, from weights and code that cannot run anything of their own.

    Raises ModelError.
    """
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        load_tokenizer: Any = AutoTokenizer.from_pretrained  # without types in transformers
        tokenizer = load_tokenizer(folder, use_fast=True, **local)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, **local).eval()
    # transformers raises these for what it does not know, cannot find or cannot read.
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(f"{folder}: transformers cannot load it: {error}") from error
    if model.config.model_type not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise ModelError(f"{folder}: is a {model.config.model_type}, and only {known} can rank")
    if not tokenizer.is_fast:
        raise ModelError(f"{folder}: has no fast tokenizer, and only that can be shipped")
    if model.config.decoder_start_token_id is None:
        raise ModelError(f"{folder}: its config.json has no decoder_start_token_id")
    if tokenizer("").input_ids != [model.config.eos_token_id]:
        raise ModelError(
            f"{folder}: its tokenizer must add the end sign to a text, and nothing else"
        )
    return Original(folder, model, tokenizer)


def check_parity(original: Original, folder: Path) -> None:
    """Hold the ranker in ``folder`` against the original, on texts chosen to be awkward.

    Runs what a server will run: its tokeniser, padding and engine. Raises ParityError.
    """
    encoder, decoder = Seq2SeqEncoder.load(folder, 1), Seq2SeqDecoder.load(folder, 1)
    config = encoder.config

    def hold(what: str, found: float, limit: float) -> None:
        if not found <= limit:  # written so that NaN fails
            raise ParityError(
                f"{original.folder}: the exported graphs compute something else: {what} is off by "
                f"{found:.2g}, more than {limit:g}"
            )

    texts = [*_PASSAGES, "Words" + _LONG * config.max_tokens]
    read = [original.tokenise(config.passage_prompt + text, config.max_tokens) for text in texts]
    states = encoder.encode(texts)
    for text, ids, tokens, found in zip(texts, read, encoder.tokenise(texts), states, strict=True):
        if ids != tokens.ids:
            has = f"tokens {tokens.ids[:9]}, not {ids[:9]}"
            raise ParityError(f"{original.folder}: {text[:40]!r} has {has}")
        wanted = original.states(ids)
        off = np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())
        hold(f"a state of {text[:40]!r}", float(off), _STATES)
    for query in _QUERIES:
        asked = original.tokenise(config.query_prompt + query, config.max_query_tokens)
        for text, ids, score in zip(texts, read, decoder.scores(query, states), strict=True):
            wanted_score = original.score(ids, asked, config)
            off = abs(score - wanted_score) / max(1.0, abs(wanted_score))
            hold(f"the score of {query[:40]!r} and {text[:40]!r}", float(off), _SCORE)


def _trace(original: Original, work: Path, made: Path) -> None:
    """Both graphs as optimum traces them, in ``made``; ``work`` is for files in between."""
    # Imported here because optimum takes seconds, and a wrong argument should be heard of first.
    from optimum.exporters.onnx import onnx_export_from_model

    with quiet_tracing():
        onnx_export_from_model(
            original.model,
            work,
            opset=OPSET,
            task="text2text-generation",
            do_validation=False,  # check_parity does, with more texts
            no_post_process=True,  # a search for doubled weights that wants one more library
        )
    if any(work.glob("*.onnx_data")):
        raise ModelError(
            f"{original.folder}: a graph is above 2 GB, the most that fits into one file"
        )
    (work / "encoder_model.onnx").rename(made / ENCODER_GRAPH)
    (work / "decoder_model.onnx").rename(made / DECODER_GRAPH)


def _word_ids(tokenizer: Any, words: tuple[str, str]) -> Words:
    """The tokens that ``words`` are."""
    ids = [tokenizer(word, add_special_tokens=False).input_ids for word in words]
    for word, tokens in zip(words, ids, strict=True):
        if len(tokens) != 1:
            raise FieldError("words", f"{word!r} is {len(tokens)} of the model's tokens, not one")
        if tokens[0] == tokenizer.unk_token_id:
            raise FieldError("words", f"{word!r} is not among the model's tokens")
    return Words(true=ids[0][0], false=ids[1][0])
