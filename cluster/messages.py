"""What goes between a coordinator and its shards: ids, numbers and arrays, and nothing that does anything.

Rows are those of the whole corpus. Each request and each reply has the fingerprint of a ``cluster.json``, so
that nothing of two versions is ever put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.retrieval.passage_reader import ReaderQuery
from lurcher.retrieval.query import Plan, Query, RetrieverName
from lurcher.retrieval.results import Explanation
from lurcher.retrieval.stages.encode import Encoded


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what the encoder made of it; None if nothing reads that."""

    query: Query
    text: Encoded | None


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Find candidates as ``plan`` says, which is the coordinator's."""

    asked: Asked
    plan: Plan


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a shard's retrievers found: rows (m,), best first; and the scores (n,) of all ``rows`` (n,).

    ``scores`` have every column, whichever retriever found the row; ``rows`` ascend. ``documents`` (n,) are
    the ids of what ``rows`` are parts of, where hits are grouped by them, and else empty.
    """

    found: Mapping[RetrieverName, Rows]
    rows: Rows
    scores: Mapping[str, Vectors]
    documents: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """Score the passages ``rows`` (C,) by the query's ranker; ``dense`` (C,) is what vectors say."""

    asked: Asked
    rows: Rows
    dense: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What the ranker makes of each (C,) whatever the others are (``Ranker.scores``)."""

    scores: Mapping[str, Vectors]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Let the reader read the passages ``rows`` (k,) for ``query``."""

    rows: Rows
    query: ReaderQuery


@dataclass(frozen=True, slots=True, eq=False)
class ReadTokens:
    """What the reader says of the tokens of the passage in ``row``.

    ``positions`` (n,) are those that it reads among the passage's own, ``logits`` (n, 2) where an answer
    starts and ends.
    """

    row: int
    positions: Rows
    logits: Vectors


@dataclass(frozen=True, slots=True)
class HasRead:
    """Those passages that could be read."""

    passages: tuple[ReadTokens, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fetch:
    """Read the passages ``rows`` (k,), which have these ``scores`` (k,), and explain why they were found."""

    asked: Asked
    rows: Rows
    scores: Mapping[str, Vectors]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The passages, and their explanations where any was asked for."""

    passages: tuple[Passage, ...]
    explanations: tuple[Explanation, ...]


Work = Retrieve | Compare | Fetch | Read
Done = Found | Compared | Fetched | HasRead


@dataclass(frozen=True, slots=True)
class Request:
    """Work for a shard of the cluster with this ``fingerprint``, of one kind."""

    fingerprint: str
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of each work of a request, or the query's error; nothing of another ``fingerprint``."""

    fingerprint: str
    done: tuple[Done | LurcherError, ...]
