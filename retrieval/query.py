"""What a caller asks, and what is known of it while it goes through the stages.

A ``Query`` is what was asked for. A ``QueryState`` is a query on its way: immutable, with the result of one
stage more at each step. No stage changes what an earlier one found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lurcher.bundle.lexical_index import QueryTerms
from lurcher.bundle.passages import Condition, Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.ranker.maxsim import LATE_WEIGHT
from lurcher.models.ranker.presets import PresetName
from lurcher.retrieval.passage_reader import ReaderQuery, ReadPassage
from lurcher.retrieval.results import Answer, Explanation, WrittenAnswer
from lurcher.retrieval.turns import ALONE, Turn
from lurcher.text import is_blank

RankMode = Literal["auto", "off", "maxsim", "decoder", "t5", "reader"]
RankerName = Literal["maxsim", "decoder", "t5", "reader"]
NeighbourMode = Literal["auto", "off", "adapted", "voting"]
# `online` lets only those known queries vote that the server has learnt since the bundle was made.
NeighbourPlan = Literal["off", "adapted", "voting", "online"]
RetrieverName = Literal["dense", "lexical", "adapted", "voting", "online"]
# `auto` is `hybrid` where the bundle has both indexes, and the one that it has where it has one.
RetrieveMode = Literal["auto", "hybrid", "dense", "lexical"]
# `plain`: no sign of a query means anything but itself. `phrase`: quotes enclose a phrase (``phrases``).
QuerySyntax = Literal["plain", "phrase"]
Extra = Literal["contributing_neighbours", "token_alignment", "highlights"]


GroupBy = Literal["document"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the hits of a question are read.

    At most ``answers`` answers are given, each with a probability of at least ``min_score`` (None: the
    reader's own threshold). ``write`` lets the bundle's T5 write an answer as well.
    """

    answers: int = 3
    min_score: float | None = None
    write: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One query with its options: ``top_k`` hits from the place ``offset`` on.

    ``dense_weight`` is lambda, the weight of a passage's own score beside known queries; None takes what the
    bundle was tuned to. ``candidates`` is how many of the first stage's hits are ranked; None takes as many
    as ``Capabilities`` says. ``deadline`` is a time on the clock of ``perf_counter``: what would not be done
    by then is left out. ``left_out`` names what was left out of the query before, to be told as well. With
    ``read`` the hits are read for answers. With ``fold`` one passage stands for all of nearly the same text;
    with ``group_by`` one stands for all of its document. ``retrieve`` says which indexes find candidates.
    Without ``partial`` an error is wanted rather than the hits of some shards of a cluster alone.
    ``lexical_gain`` takes the place of what was measured on the corpus (``Capabilities.lexical``), ``preset``
    that of the bundle's. Long work lets others go first by ``turn``.
    """

    text: str
    top_k: int = 10
    conditions: tuple[Condition, ...] = ()
    neighbours: NeighbourMode = "auto"
    dense_weight: float | None = None
    rank: RankMode = "auto"
    candidates: int | None = None
    deadline: float | None = None
    extras: frozenset[Extra] = frozenset()
    read: ReadOptions | None = None
    fold: bool = False
    group_by: GroupBy | None = None
    retrieve: RetrieveMode = "auto"
    query_syntax: QuerySyntax = "plain"
    left_out: tuple[str, ...] = ()
    lexical_gain: float | None = None
    preset: PresetName | None = None
    turn: Turn = field(default=ALONE, compare=False, repr=False)
    partial: bool = True
    offset: int = 0

    @property
    def last(self) -> int:
        """The place of its last hit in the order of all, from 1: what is before ``offset`` is left out."""
        return self.offset + self.top_k


def check_text(field: str, text: str, most: int | None = None) -> None:
    """Raise FieldError where the ``text`` in ``field`` cannot be a query, or has over ``most`` characters."""
    if is_blank(text):
        raise FieldError(field, "is empty: needs more than white space and invisible characters")
    if most is not None and len(text) > most:
        raise FieldError(field, f"{len(text)} characters, at most {most} are allowed")


def check_candidates(name: str, wanted: int, candidates: int | None) -> None:
    """Raise FieldError where fewer ``candidates`` are ranked than hits are wanted by the field ``name``.

    All hits of a query are ranked or none: else their scores would be of two kinds.
    """
    if candidates is not None and candidates < wanted:
        raise FieldError("candidates", f"must be at least {name}, which is {wanted}")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one query is answered from one bundle: ``Capabilities.plan`` makes it."""

    ranker: RankerName | None
    neighbours: NeighbourPlan
    retrievers: tuple[RetrieverName, ...]  # whose candidates are fused
    retrieval_depth: int  # candidates that each retriever is asked for
    depth: int  # candidates that are left of them
    dense_weight: float | None = None  # lambda, None where no known query counts
    # What the lexical score counts beside the others on this corpus; None where it does not count.
    lexical_weight: float | None = None
    late_weight: float = LATE_WEIGHT  # of maxsim against dense


# The scores that a hit shows, in the order in which the stages give them. Candidates are ordered by `rank`,
# else by `fused`, else by `dense`, else by `lexical`.
SCORES = ("dense", "lexical", "neighbours", "fused", "maxsim", "rank")


_ORDERED_BY = ("rank", "fused", "dense", "lexical")


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Passages found for one query, best first, with columns of numbers (C,) float32.

    Columns are those of ``SCORES``, and what a ranker needs to put its score in the place of ``dense``
    (``fusion.stand_in``): ``boost``, what the votes of known queries add; or in adapted mode ``adapted``, the
    score with them, and ``dense_weight``, what ``dense`` counts in it; and ``lexical_share``, what the
    lexical score adds to a ranked one.
    """

    rows: Rows  # (C,) of the snapshot
    columns: Mapping[str, Vectors]

    @property
    def score(self) -> Vectors:
        """What they are ordered by, (C,)."""
        return next(self.columns[name] for name in _ORDERED_BY if name in self.columns)

    def given(self, **columns: Vectors) -> Candidates:
        """The same with more ``columns`` (C,), or others in the place of those of a name."""
        return Candidates(self.rows, {**self.columns, **columns})

    def take(self, places: Rows, **columns: Vectors) -> Candidates:
        """Those at ``places`` (k,), in that order, with more ``columns`` (C,)."""
        taken = {name: column[places] for name, column in {**self.columns, **columns}.items()}
        return Candidates(self.rows[places], taken)


NO_CANDIDATES = Candidates(np.zeros(0, np.int64), {"dense": np.zeros(0, np.float32)})


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """What the query encoder and the analyser make of a query."""

    tokens: Tokens
    vector: Vectors  # (d,)
    terms: QueryTerms | None = None  # where the lexical index is asked
    named: float = 0.0  # how much of it names something, 0 to 1 (``names``)
    token_features: TokenFeatures | None = None  # where a ranker reads tokens
    reader_query: ReaderQuery | None = None  # where a reader ranks


@dataclass(frozen=True, slots=True)
class TokenFeatures:
    """A query's own tokens, without special ones, as late interaction reads them."""

    states: Vectors  # (L, d)
    projected: Vectors  # (L, bits) unit-norm
    weights: Vectors  # (L,) that add up to 1


@dataclass(frozen=True, slots=True)
class QueryState:
    """A query on its way; each stage fills in what it is named for."""

    query: Query
    plan: Plan
    allow: Rows | None  # rows that may be found, ascending; None: all
    features: QueryFeatures
    retrieved: Mapping[RetrieverName, Candidates] = field(default_factory=dict)
    candidates: Candidates = NO_CANDIDATES  # fused, then ranked
    read_passages: Mapping[int, ReadPassage] = field(default_factory=dict)  # by row
    passages: tuple[Passage, ...] = ()  # of the candidates
    explanations: tuple[Explanation, ...] = ()  # of the candidates, where any was asked for
    answers: tuple[Answer, ...] = ()
    written: WrittenAnswer | None = None
    degraded: tuple[str, ...] = ()
    stands_for: Rows | None = (
        None  # passages that each of ``allow`` stands for, where texts are folded
    )
