"""A passage's score by an encoder-decoder, from the passage's encoder states and the query alone.

ED2LM (Hui et al. 2022): the encoder reads passages offline; online the decoder reads the query after
them, all of its tokens in one pass, and generates nothing. A folder holds::

    encoder.onnx      input_ids, attention_mask -> last_hidden_state
    decoder.onnx      input_ids, encoder_hidden_states, encoder_attention_mask -> logits
    tokenizer.json    Hugging Face tokeniser, without padding or truncation
    config.json       RankerConfig

The decoder's input and the tokens whose probability is taken, for a query of n tokens::

    input       start   q_1   ...   q_n
    predicted   q_1     q_2   ...   the end, or "true" rather than "false"

    likelihood(q, p) = sum_t log p(q_t | q_<t, p), or its mean; with the end's, where no word follows
    relevance(q, p)  = log p(true | q, p) - log p(false | q, p)
    both(q, p)       = likelihood + relevance
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lurcher.errors import FieldError, ModelError
from lurcher.models.batches import Pause, run_batches
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE
from lurcher.models.encoders.encoder import TOKEN_BUDGET, Vectors
from lurcher.models.encoders.reading import read_description
from lurcher.models.encoders.student import SHA256
from lurcher.models.encoders.tokenizer import Ids, Tokenizer, Tokens, length_buckets, pad
from lurcher.models.engines import Engine, first_run, open_engine

ENCODER_GRAPH = "encoder.onnx"
DECODER_GRAPH = "decoder.onnx"

# Scales: a likelihood is in nats, for the whole query or a token, and at most 0; relevance is in nats of
# odds, 0 where the decoder does not know; neither can be compared between queries of different models.
ScoreForm = Literal["likelihood", "relevance", "both"]


class Words(BaseModel):
    """Ids of the tokens that, predicted after a query, mean that the passage is relevant or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    true: int = Field(ge=0)
    false: int = Field(ge=0)


class RankerConfig(BaseModel):
    """How a folder's graphs turn a query and a passage into a score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    dimension: int = Field(gt=0)
    max_tokens: int = Field(gt=0, description="of a passage, special tokens included")
    max_query_tokens: int = Field(gt=0, description="special tokens included")
    passage_prompt: str = ""
    query_prompt: str = ""
    start: int = Field(ge=0, description="id of what the decoder reads before a query")
    end: int = Field(ge=0, description="id of what ends a text")
    words: Words | None = Field(
        default=None, description="that follow a query, in place of its end"
    )
    score: ScoreForm
    likelihood: Literal["sum", "mean"]
    source: str = Field(
        pattern=SHA256, description="of the original's weights, files in name order"
    )
    fingerprint: str = Field(pattern=SHA256, description="of all that decides a passage's states")

    @model_validator(mode="after")
    def _has_the_words_it_scores_by(self) -> Self:
        if self.words is None and self.score != "likelihood":
            raise ValueError(f"score {self.score} needs words")
        return self


def load_ranker_config(folder: Path) -> RankerConfig:
    """The configuration in ``folder``.

    Raises ModelNotFound where there is none, ModelError where it cannot be used.
    """
    return read_description(folder, CONFIG_FILE, RankerConfig, "a ranker")


class _Half:
    """Either graph with its tokeniser and threads."""

    def __init__(
        self, config: RankerConfig, tokenizer: Tokenizer, engine: Engine, threads: int
    ) -> None:
        self.config = config
        self._tokenizer = tokenizer
        self._engine = engine
        self._batches = _Batches(threads)


class Seq2SeqEncoder(_Half):
    """Passages to states, offline; safe to call from several threads at once."""

    @classmethod
    def load(cls, folder: Path, threads: int) -> Seq2SeqEncoder:
        """The encoder in ``folder``, which runs up to ``threads`` batches at a time.

        Raises ModelError or ModelNotFound.
        """
        config = load_ranker_config(folder)
        tokenizer = Tokenizer(folder / TOKENIZER_FILE, config.max_tokens)
        graph = open_engine("onnxruntime", folder / ENCODER_GRAPH, 1)
        return cls(config, tokenizer, graph, threads)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each passage, prompt and special tokens included."""
        return self._tokenizer([self.config.passage_prompt + text for text in texts])

    def visit_states(self, tokens: Sequence[Tokens], visit: Callable[[int, Vectors], None]) -> None:
        """Show ``visit`` each text's number and states (L, d) float32, in no fixed order.

        It is called from several threads, and what it is shown is gone afterwards.
        """

        def encode(batch: list[int]) -> None:
            input_ids, mask = pad([tokens[i].ids for i in batch])
            inputs = {"input_ids": input_ids, "attention_mask": mask}
            (found,) = self._engine.run(["last_hidden_state"], inputs)
            for row, text in enumerate(batch):
                visit(text, found[row, : len(tokens[text].ids)])

        self._batches.run(encode, [len(t.ids) for t in tokens])

    def encode(self, texts: Sequence[str]) -> list[Vectors]:
        """Each text's states (L, d) float32, one a token; texts beyond ``max_tokens`` are cut."""
        states: dict[int, Vectors] = {}

        def keep(text: int, found: Vectors) -> None:
            states[text] = found.copy()

        self.visit_states(self.tokenise(texts), keep)
        return [states[text] for text in range(len(texts))]


class Seq2SeqDecoder(_Half):
    """A query and passages' states to scores, online; safe to call from several threads at once."""

    @classmethod
    def load(cls, folder: Path, threads: int) -> Seq2SeqDecoder:
        """The decoder in ``folder``, which runs up to ``threads`` batches at a time.

        Its graph has run once by then. Raises ModelError or ModelNotFound.
        """
        config = load_ranker_config(folder)
        tokenizer = Tokenizer(folder / TOKENIZER_FILE, config.max_query_tokens)
        words = [] if config.words is None else [config.words.true, config.words.false]
        if (last := max(config.start, config.end, *words)) >= tokenizer.vocabulary:
            reason = f"token {last} is not one of the tokeniser's {tokenizer.vocabulary}"
            raise ModelError(f"{folder / CONFIG_FILE}: {reason}")
        graph = open_engine("onnxruntime", folder / DECODER_GRAPH, 1)
        decoder = cls(config, tokenizer, graph, threads)
        with first_run(folder):
            decoder.scores("warm up", [np.ones((2, config.dimension), np.float32)])
        return decoder

    def reads(self, query: str) -> list[int]:
        """The ids that the decoder reads of ``query``: the start sign and its tokens, without the end."""
        (tokens,) = self._tokenizer([self.config.query_prompt + query])
        return [self.config.start, *tokens.ids[:-1]]

    def scores(self, query: str, states: Sequence[Vectors], pause: Pause | None = None) -> Vectors:
        """The score (C,) float32 of each passage of ``states`` (L, d), of any float type.

        A passage without states scores as one of which nothing is known. Raises FieldError for states
        of another number of dimensions.
        """
        width = self.config.dimension
        if wrong := [one.shape[1] for one in states if one.shape[1] != width]:
            raise FieldError("states", f"have {wrong[0]} dimensions, not the ranker's {width}")
        ids = self.reads(query)
        read = np.array([ids], np.int64)
        scores = np.zeros(len(states), np.float32)

        def score(batch: list[int]) -> None:
            padded, mask = _pad_states([states[i] for i in batch], width)
            inputs: dict[str, npt.NDArray[Any]] = {
                "input_ids": np.tile(read, (len(batch), 1)),
                "encoder_hidden_states": padded,
                "encoder_attention_mask": mask,
            }
            (logits,) = self._engine.run(["logits"], inputs)
            scores[batch] = score_logits(logits, ids[1:], self.config)

        # A logit for each token of the vocabulary at each of the query's: the query may be the longer side.
        self._batches.run(score, [max(len(one), read.shape[1]) for one in states], pause)
        return scores

    def write(
        self, query: str, states: Sequence[Vectors], most: int, pause: Pause | None = None
    ) -> tuple[str, float]:
        """The text that the decoder generates for ``query``, of at most ``most`` tokens, and its confidence.

        Fusion in the decoder (Izacard & Grave 2021, FiD): it attends to the ``states`` (L, d) of all passages
        at once, which its encoder read one by one; here without the query, as their states are stored.
        Decoding is greedy. Confidence, 0 to 1, is the geometric mean of the tokens' probabilities, the
        end's included.
        """
        prefix = self.reads(query)
        whole = np.concatenate([*states, np.zeros((0, self.config.dimension), np.float32)])
        padded, mask = _pad_states([whole], self.config.dimension)
        written: list[int] = []
        logarithms = 0.0
        while True:
            if pause is not None:
                pause()
            inputs: dict[str, npt.NDArray[Any]] = {
                "input_ids": np.array([[*prefix, *written]], np.int64),
                "encoder_hidden_states": padded,
                "encoder_attention_mask": mask,
            }
            (logits,) = self._engine.run(["logits"], inputs)
            last = logits[:, -1:]
            token = int(last.argmax())
            logarithms += float(_log_probabilities(last, [token])[0, 0])
            written.append(token)
            if token == self.config.end or len(written) == most:
                sure = math.exp(logarithms / len(written))
                return self._tokenizer.decode(written).strip(), sure


def score_logits(logits: Vectors, ids: Sequence[int], config: RankerConfig) -> Vectors:
    """Scores (C,) float32 from the decoder's logits (C, n + 1, vocabulary), for a query of n ``ids``."""
    scores = np.zeros(len(logits), np.float32)
    if config.score != "relevance":
        predicted = [*ids, config.end] if config.words is None else ids
        scores += _log_probabilities(logits, predicted).sum(axis=1)
        if config.likelihood == "mean":
            scores /= max(1, len(predicted))
    if config.score != "likelihood" and config.words is not None:
        # The softmax over the vocabulary divides both alike.
        after = logits[:, len(ids)]
        scores += after[:, config.words.true] - after[:, config.words.false]
    return scores


def _log_probabilities(logits: Vectors, ids: Sequence[int]) -> Vectors:
    """log p of ``ids`` (n,) at the first n places of ``logits`` (C, >= n, vocabulary), (C, n)."""
    places = logits[:, : len(ids)]
    top = places.max(axis=2, keepdims=True)
    total = np.log(np.exp(places - top).sum(axis=2)) + top[:, :, 0]
    found: Vectors = places[:, np.arange(len(ids)), np.asarray(ids, np.int64)] - total
    return found


def _pad_states(states: Sequence[Vectors], width: int) -> tuple[Vectors, Ids]:
    """States (B, L, d) float32 and mask (B, L) int64 of a batch.

    Where all of a passage is masked, attention spreads evenly over zeros and so adds nothing.
    """
    length = max(1, *(len(one) for one in states))
    padded = np.zeros((len(states), length, width), np.float32)
    mask = np.zeros((len(states), length), np.int64)
    for row, one in enumerate(states):
        padded[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return padded, mask


class _Batches:
    """Batches of about equal lengths, as many at once as there are ``threads``."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "ranker") if threads > 1 else None

    def run(
        self, work: Callable[[list[int]], None], lengths: Sequence[int], pause: Pause | None = None
    ) -> None:
        """Give ``work`` each batch of positions into ``lengths``."""
        budget = min(TOKEN_BUDGET, math.ceil(sum(lengths) / self._threads))
        batches = length_buckets(lengths, budget)
        run_batches(work, batches, self._pool, self._threads, pause)
