"""Groups of passages that are read for one question together, of which some hold its answer.

Shared normalisation over several passages and a sum over all places where the answer stands: Clark & Gardner
2018, "Simple and Effective Multi-Paragraph Reading Comprehension", sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lurcher.bundle.passages import Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.models.tokens.coder import TokenCoder
from lurcher.training.reader.batches import Batch
from lurcher.training.reader.distant import Asked, Found
from lurcher.training.reader.network import Reader
from lurcher.training.reader.spans import Texts

# Passages of a group. A second right one is drawn for some: it may be the one that does answer.
PASSAGES = 3
_SECOND = 0.5
# Groups in which nothing answers, of those that could have had a right passage.
_NOTHING = 0.12
# Wrong passages come from the first so many: those that a server reads.
_HARD = 10
# A group's passages run through the network by length, in so many parts: less of them is padding.
_PARTS = 4
_MASKED = -1e4


@dataclass(frozen=True, slots=True)
class Source:
    """Questions of one kind; ``judged`` (n, K) says which passages answer them, None: nobody has judged."""

    name: str
    asked: Asked
    found: Found
    judged: np.ndarray | None = None

    def right(self) -> dict[int, dict[int, list[tuple[int, int]]]]:
        """Where the answers stand, by question and place among its rows; of judged ones, only there."""
        spans: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for question, place, first, last in self.found.spans.tolist():
            if self.judged is None or self.judged[question, place]:
                spans.setdefault(question, {}).setdefault(place, []).append((first, last))
        return spans

    def wrong(self, question: int) -> list[int]:
        """The places of passages among the first that hold no answer to ``question``."""
        spans = self.found.spans
        low, high = np.searchsorted(spans[:, 0], (question, question + 1))
        holding = set(spans[low:high, 1].tolist())
        rows = self.found.rows[question, :_HARD].tolist()
        return [place for place, row in enumerate(rows) if row >= 0 and place not in holding]


@dataclass(frozen=True, slots=True)
class Group:
    """A question, the rows read for it, and where in each of them the answer stands."""

    text: str
    rows: list[int]
    spans: list[list[tuple[int, int]]]
    weak: bool  # whether nobody has judged that the passages answer it


@dataclass(frozen=True, slots=True)
class Grouped:
    """A batch of groups, as tensors."""

    batch: Batch
    right: Tensor  # (S, M, 2) bool, where an answer starts and ends
    weak: Tensor  # (G,) bool

    def logits(self, reader: Reader) -> Tensor:
        """Of starts and ends, (S, M, 2)."""
        batch = self.batch
        counts, lengths = batch.there.sum(1), batch.query_mask.sum(1)
        found, order = [], torch.argsort(counts)
        for part in torch.tensor_split(order, _PARTS):
            if len(part):
                m, n = max(1, int(counts[part].max())), max(1, int(lengths[part].max()))
                logits = reader(
                    batch.states[part, :n], batch.weights[part, :n], batch.decoded[part, :m],
                    batch.places[part, :m], batch.query_mask[part, :n], batch.there[part, :m],
                )  # fmt: skip
                short = batch.there.shape[1] - m
                found.append(functional.pad(logits, (0, 0, 0, short), value=_MASKED))
        return torch.cat(found)[torch.argsort(order)]


class Groups:
    """What groups are drawn from: questions of all ``sources`` whose answer a search finds."""

    def __init__(
        self, sources: Sequence[Source], texts: Texts, store: ReadingStore, tokens: TokenCoder
    ) -> None:
        """``texts`` and ``store`` are those of the passages, ``tokens`` weighs the questions' tokens."""
        self.texts, self._store, self._tokens = texts, store, tokens
        self._sources = list(sources)
        self._right = [source.right() for source in sources]
        self.examples = [
            (number, question)
            for number, right in enumerate(self._right)
            for question in sorted(right)
        ]

    def __len__(self) -> int:
        return len(self.examples)

    def lengths(self) -> Integers:
        """How many tokens the best right passage of each question has, (n,)."""
        starts = self.texts.starts
        rows = np.array(
            [
                self._sources[number].found.rows[question, min(self._right[number][question])]
                for number, question in self.examples
            ]
        )
        lengths: Integers = starts[rows + 1] - starts[rows]
        return lengths

    def pick(self, example: int, generator: np.random.Generator) -> Group:
        """A group of the question number ``example``."""
        number, question = self.examples[example]
        source, right = self._sources[number], self._right[number][question]
        wrong = source.wrong(question)
        chosen: list[int] = []
        if not wrong or generator.random() >= _NOTHING:
            chosen = _drawn(sorted(right), 2 if generator.random() < _SECOND else 1, generator)
        chosen += _drawn(wrong, PASSAGES - len(chosen), generator)
        rows = source.found.rows[question, chosen].tolist()
        spans = [right.get(place, []) for place in chosen]
        return Group(source.asked.texts[question], rows, spans, source.judged is None)

    def draw(self, examples: Rows, generator: np.random.Generator) -> Grouped:
        """Groups of the questions numbered ``examples`` (G,)."""
        return self.collate([self.pick(example, generator) for example in examples.tolist()])

    def passages(self, rows: Sequence[int]) -> list[tuple[Vectors, Integers]]:
        """What each of ``rows`` decodes to, (M, d), and where its tokens stand in it, (M,)."""
        owns = [self.texts.of(row) for row in rows]
        codes, counts = self._store.gather(np.array(rows))
        ids = np.concatenate([self.texts.ids[own] for own in owns])
        parts = np.split(self._store.coder.decode(codes, ids), np.cumsum(counts)[:-1])
        places = [self.texts.places[own] for own in owns]
        return list(zip(parts, places, strict=True))

    def collate(self, groups: Sequence[Group]) -> Grouped:
        """``groups`` as tensors."""
        coder, encoder = self._store.coder, self.texts.encoder
        tokens = encoder.tokenise([group.text for group in groups])
        queries = []
        for read, states in zip(tokens, encoder.lower_states(tokens), strict=True):
            own = encoder.own_tokens(read)
            queries.append((coder.query(states[own]), self._tokens.weights(read.ids[own])))
        pairs = [(place, row) for place, group in enumerate(groups) for row in group.rows]
        passages = self.passages([row for _, row in pairs])
        query_mask = np.zeros((len(pairs), max(len(one) for one, _ in queries)), np.bool_)
        there = np.zeros((len(pairs), max(1, *(len(part) for part, _ in passages))), np.bool_)
        d = len(coder.mean)
        states = np.zeros((*query_mask.shape, d), np.float32)
        decoded = np.zeros((*there.shape, d), np.float32)
        weights, places = np.zeros(query_mask.shape, np.float32), np.zeros(there.shape, np.int64)
        for i, ((place, _), (part, stands)) in enumerate(zip(pairs, passages, strict=True)):
            length = len(queries[place][0])
            states[i, :length], weights[i, :length] = queries[place]
            query_mask[i, :length] = True
            decoded[i, : len(part)], there[i, : len(part)] = part, True
            places[i, : len(part)] = stands
        right = np.zeros((*there.shape, 2), np.bool_)
        members = np.full((len(groups), max(len(group.rows) for group in groups)), -1)
        at = 0
        for number, group in enumerate(groups):
            members[number, : len(group.rows)] = range(at, at + len(group.rows))
            for spans in group.spans:
                for first, last in spans:
                    right[at, first, 0] = right[at, last, 1] = True
                at += 1
        nowhere = np.full((len(groups), 2), -1)
        tensors = map(
            torch.from_numpy,
            (states, weights, query_mask, decoded, places, there, members, nowhere),
        )
        weak = np.array([group.weak for group in groups])
        return Grouped(Batch(*tensors), torch.from_numpy(right), torch.from_numpy(weak))


def group_loss(logits: Tensor, groups: Tensor, right: Tensor, weak: Tensor, doubt: float) -> Tensor:
    """The mean of -log P(right start) and -log P(right end), each over a group's tokens and nothing at all.

    ``logits`` (S, M, 2) and ``right`` (S, M, 2) bool are of passages, ``groups`` (G, P) says which of them
    belong together, -1: none. A group without a right place is answered by nothing, whose logit is 0. Of
    ``weak`` groups (G,) nothing counts as right, too, ``doubt`` times: where the reader is sure that none of
    the passages answers, they teach it little.
    """
    none = logits.new_full((1, 2), _MASKED)

    def summed(of: Tensor) -> Tensor:
        return torch.cat([of.logsumexp(1), none])[groups].logsumexp(1)  # (G, 2), row -1 the last

    anywhere = summed(logits)
    whole = torch.logaddexp(anywhere, torch.zeros_like(anywhere))
    answered = torch.cat([right.any(1).any(1), right.new_zeros(1)])[groups].any(1)  # (G,)
    wanted = summed(logits.masked_fill(~right, _MASKED))
    doubted = torch.logaddexp(wanted, torch.full_like(wanted, float(np.log(doubt))))
    wanted = torch.where(weak[:, None], doubted, wanted)
    return (whole - torch.where(answered[:, None], wanted, 0.0)).mean()


def _drawn(places: Sequence[int], most: int, generator: np.random.Generator) -> list[int]:
    """At most so many of ``places``, without one twice; those that a search ranks first more often."""
    if not places or most < 1:
        return []
    chances = 1.0 / (1.0 + np.array(places))
    size = min(most, len(places))
    drawn = generator.choice(len(places), size, replace=False, p=chances / chances.sum())
    return [places[one] for one in drawn.tolist()]
