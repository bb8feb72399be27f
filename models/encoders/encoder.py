"""Texts to vectors: one encoder, either side of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lurcher.models.encoders.config import TOKENIZER_FILE, EncoderConfig, load_config
from lurcher.models.encoders.side_tokenizer import SideTokenizer
from lurcher.models.encoders.tokenizer import Tokenizer, Tokens, length_buckets, pad
from lurcher.models.engines import Choice, EngineName, choose_engine

Vectors = npt.NDArray[np.float32]

# Padded tokens a batch, measured on two cores over 64 to 4,096: below, the matrix products run short
# of rows; above, the activations fall out of the second-level cache (4,096 encodes a third less).
# It also bounds the memory that ONNX Runtime keeps.
TOKEN_BUDGET = 512
# What one thread reads alone. Before others have begun, and had a core to begin on, it is done: on two cores
# that a web server has busy, sharing it out took three times as long.
_FEW_TOKENS = 256

# What a graph puts out.
VECTOR, TOKEN_STATES, LOWER_STATES = "vector", "token_states", "lower_states"


class Encoder(SideTokenizer):
    """A graph and its tokeniser; safe to call from several threads at once."""

    def __init__(
        self, config: EncoderConfig, tokenizer: Tokenizer, choice: Choice, prompt: str, threads: int
    ) -> None:
        super().__init__(config, tokenizer, prompt)
        # Which engine runs the graph, and why.
        self.choice = choice
        self._engine = choice.engine
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "encoder") if threads > 1 else None

    @classmethod
    def load(
        cls, folder: Path, side: Literal["query", "passage", "teacher"], threads: int,
        engine: EngineName = "auto",
    ) -> Encoder:  # fmt: skip
        """The encoder in ``folder`` for one side of the search.

        The side ``teacher`` encodes queries with the passages' graph, as a student learns to.
        Up to ``threads`` batches are encoded at a time,
        each by one thread: threads that share a small model's matrix product wait for each
        other more than they gain, even for a single query. Raises ModelError or ModelNotFound.
        """
        config = load_config(folder)
        graph = config.query_graph if side == "query" else config.passage_graph
        return cls(
            config,
            Tokenizer(folder / TOKENIZER_FILE, config.max_tokens),
            choose_engine(engine, folder / graph, 1),
            config.passage_prompt if side == "passage" else config.query_prompt,
            threads,
        )

    def run_by(self, choice: Choice) -> Encoder:
        """The same encoder, its graph run by another engine."""
        return Encoder(self.config, self._tokenizer, choice, self._prompt, self._threads)

    def encode_tokens(self, tokens: Sequence[Tokens]) -> Vectors:
        """The vector of each text, (n, d) float32; unit-norm unless the model is a dot-product one."""
        vectors = np.zeros((len(tokens), self.config.dimension), np.float32)

        def keep(batch: list[int], found: Sequence[Vectors]) -> None:
            (vectors[batch],) = found

        self.visit_batches(tokens, [VECTOR], keep)
        return vectors

    def encode_states(self, tokens: Sequence[Tokens]) -> tuple[Vectors, list[Vectors]]:
        """The vectors, as ``encode_tokens`` gives them, and each text's token states (L, d) float32.

        The states are the last layer's, one for each token, special tokens included.
        """
        vectors = np.zeros((len(tokens), self.config.dimension), np.float32)
        states: list[Vectors] = [vectors[:0]] * len(tokens)

        def keep(text: int, found: Sequence[Vectors]) -> None:
            vectors[text] = found[0]
            states[text] = found[1].copy()

        self.visit(tokens, [VECTOR, TOKEN_STATES], keep)
        return vectors, states

    def lower_states(self, tokens: Sequence[Tokens]) -> list[Vectors]:
        """Each text's states (L, d) float32 after the lower layers of the passages' graph.

        A reader's input; only if the configuration has ``lower_states``.
        """
        states: list[Vectors] = [np.zeros((0, self.config.dimension), np.float32)] * len(tokens)

        def keep(text: int, found: Sequence[Vectors]) -> None:
            states[text] = found[0].copy()

        self.visit(tokens, [LOWER_STATES], keep)
        return states

    def visit(
        self, tokens: Sequence[Tokens], outputs: Sequence[str],
        visit: Callable[[int, Sequence[Vectors]], None],
    ) -> None:  # fmt: skip
        """Show ``visit`` each text's number and its part of each of ``outputs``, in no fixed order.

        That is (d,) of VECTOR and (L, d) of the states. It is called from several threads, and what it is
        shown is gone afterwards. So many passages are read in little memory, and what is made of their
        states is made side by side.
        """

        def each(batch: list[int], found: Sequence[Vectors]) -> None:
            for row, text in enumerate(batch):
                length = len(tokens[text].ids)
                visit(text, [one[row] if one.ndim == 2 else one[row, :length] for one in found])

        self.visit_batches(tokens, outputs, each)

    def visit_batches(
        self, tokens: Sequence[Tokens], outputs: Sequence[str],
        visit: Callable[[list[int], Sequence[Vectors]], None], alone: Collection[int] = (),
    ) -> None:  # fmt: skip
        """Show ``visit`` each batch: the numbers of its texts (B,) and each of ``outputs`` for them.

        That is (B, d) of VECTOR and (B, L, d) of the states, L being the longest text's length. Called from
        several threads; what it is shown is gone afterwards.

        What a text gets depends in its last bits on its batch, and rounding can make more of that. Texts that
        occur more than once in ``tokens``, and those numbered in ``alone``, are read in batches of one, once
        each: they get the same wherever they stand.
        """
        copies: dict[tuple[int, ...], list[int]] = {}
        for i, one in enumerate(tokens):
            copies.setdefault(tuple(one.ids), []).append(i)
        apart = {same[0]: same for same in copies.values() if len(same) > 1 or same[0] in alone}
        others = [same[0] for same in copies.values() if same[0] not in apart]

        def encode(batch: list[int]) -> None:
            input_ids, mask = pad([tokens[i].ids for i in batch])
            found = self._engine.run(outputs, {"input_ids": input_ids, "attention_mask": mask})
            if batch[0] not in apart:
                visit(batch, found)
            else:
                for same in apart[batch[0]]:
                    visit([same], found)

        lengths = [len(tokens[i].ids) for i in others]
        every = sum(lengths) + sum(len(tokens[i].ids) for i in apart)
        pool = None if every < _FEW_TOKENS else self._pool
        threads = 1 if pool is None else self._threads
        budget = min(TOKEN_BUDGET, math.ceil(sum(lengths) / threads))
        batches = [[others[i] for i in batch] for batch in length_buckets(lengths, budget)]
        batches += [[i] for i in apart]
        if pool is None or len(batches) == 1:
            for batch in batches:
                encode(batch)
        else:
            list(pool.map(encode, batches))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The vector of each text, (n, d) float32; texts beyond ``max_tokens`` are cut."""
        return self.encode_tokens(self.tokenise(texts))
