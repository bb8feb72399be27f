"""What goes between a coordinator and its shards: ids, numbers and arrays, and nothing that does anything.

Rows are those of the whole corpus. Each request and each reply has the fingerprint of a ``cluster.json``, so
that nothing of two versions is ever put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.retrieval.query import Query, RetrieverName
from lurcher.retrieval.results import Explanation
from lurcher.retrieval.stages.encode import Encoded


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what the encoder made of it; None if nothing reads that."""

    query: Query
    text: Encoded | None


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Find candidates."""

    asked: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a shard's retrievers found: rows (m,), best first; and the scores (n,) of all ``rows`` (n,).

    ``scores`` have every column, whichever retriever found the row; ``rows`` ascend.
    """

    found: Mapping[RetrieverName, Rows]
    rows: Rows
    scores: Mapping[str, Vectors]


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """Compare the tokens of the passages ``rows`` (C,) with the query's."""

    asked: Asked
    rows: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Late interaction (C,) of each."""

    maxsim: Vectors


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


Work = Retrieve | Compare | Fetch
Done = Found | Compared | Fetched


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
