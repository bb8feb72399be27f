"""What goes between a coordinator and its shards: ids, numbers and arrays, and nothing that does anything.

Rows are numbers that no two passages of a collection have (``row_numbers``). Each request and each reply has
the fingerprint of a ``cluster.json``, so that nothing of two versions is ever put together; and the state of
the shard, so that all that one search asks of it is answered from one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lurcher.bundle.facets import Facet
from lurcher.bundle.passages import Condition, Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError, LurcherError
from lurcher.index_builder.edit.requests import Receipt
from lurcher.index_builder.edit.requests import Request as Write
from lurcher.models.lexical.bm25 import Counts
from lurcher.retrieval.passage_reader import ReaderQuery
from lurcher.retrieval.query import Plan, Query, RetrieverName
from lurcher.retrieval.results import Explanation
from lurcher.retrieval.stages.encode import Encoded


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what the encoder made of it; None if nothing reads that."""

    query: Query
    text: Encoded | None


@dataclass(frozen=True, slots=True, eq=False)
class Retrieve:
    """Find candidates as ``plan`` says, which is the coordinator's.

    ``voted`` (v,) are ids of passages that known queries vote for.
    """

    asked: Asked
    plan: Plan
    voted: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a shard's retrievers found: rows (m,), best first; and the scores (n,) of all ``rows`` (n,).

    ``scores`` have every column, whichever retriever found the row; ``rows`` ascend. Where passages are moved
    towards their known queries, that is what ``fusion.mean_products`` gives as well, as ``mean`` and
    ``agreement``, and ``adapted``, which is of the rows alone that were found by it. ``documents`` (n,) are
    the ids of what ``rows`` are parts of, where hits are grouped by them, and else empty. ``held`` (t,) says
    how many passages have each of the query's terms now, where words are looked for. ``voted`` (v,) are the
    rows of those that were voted for, -1 for each that may not be found.
    ``firsts`` (n,) are those of ``rows`` (``cluster.copies``), where texts are folded.
    """

    found: Mapping[RetrieverName, Rows]
    rows: Rows
    scores: Mapping[str, Vectors]
    documents: Sequence[str] = ()
    held: Counts | None = None
    voted: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    firsts: Rows | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Say which passages stand in the shard for those that have any of ``firsts`` (g,), ascending."""

    asked: Asked
    firsts: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """For each of the firsts the row (g,) of what stands for them in the shard, and for how many (g,).

    ``NO_ROW`` where none of these may be found.
    """

    rows: Rows
    counts: Rows


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
    """The passages, and their explanations where any was asked for.

    ``judged`` are the ids of those that known queries are labelled with.
    """

    passages: tuple[Passage, ...]
    explanations: tuple[Explanation, ...]
    judged: frozenset[str]


@dataclass(frozen=True, slots=True)
class GetPassage:
    """Give the passage ``id``."""

    id: str


@dataclass(frozen=True, slots=True)
class GetDocument:
    """Give the passages of the document ``id``."""

    id: str


@dataclass(frozen=True, slots=True)
class ListPassages:
    """Give the first ``limit`` passages after the id ``after``, by id, of those that meet ``conditions``."""

    after: str
    limit: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class CountValues:
    """Count all values of ``field`` in the passages that meet ``conditions``."""

    field: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many passages there are of those; and the values in any order, or why there are none."""

    passages: int
    facet: Facet | FieldError


@dataclass(frozen=True, slots=True)
class Listed:
    """The passages that were asked for, and how many the shard has."""

    passages: tuple[Passage, ...]
    count: int


Work = (
    Retrieve | Fold | Compare | Fetch | Read | GetPassage | GetDocument | ListPassages | CountValues
)
Done = Found | Folded | Compared | Fetched | HasRead | Listed | Counted

# Behind all rows.
NO_ROW = np.iinfo(np.int64).max

# The state of a shard that is asked for its newest.
NEWEST = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Work of one kind for a shard of the cluster with this ``fingerprint``, as it was in its ``state``."""

    fingerprint: str
    works: tuple[Work, ...]
    state: str = NEWEST


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of each work of a request, or the query's error, and the state that it was done in.

    Nothing is done for another ``fingerprint``, or for a state that the shard has no longer; then ``state``
    is another than was asked for.
    """

    fingerprint: str
    done: tuple[Done | LurcherError, ...]
    state: str


def is_gone(request: Request, reply: Reply) -> bool:
    """Whether the state that ``request`` is for is not there any more, where ``reply`` comes from."""
    return request.state not in (NEWEST, reply.state)


Until = Literal["check", "visible", "durable"]


@dataclass(frozen=True, slots=True)
class ToWrite:
    """A write for the writer of a shard of the cluster with this ``fingerprint``.

    It answers when searches know the write (``visible``), or it is on the disk (``durable``); or it says what
    that would do, and does nothing (``check``).
    """

    fingerprint: str
    write: Write
    until: Until


@dataclass(frozen=True, slots=True)
class Wrote:
    """What a write did or would do, or its error; and how many passages the shard has now.

    ``before``: it was only checked, and was done before by a request with its key.
    """

    outcome: Receipt | LurcherError
    passages: int
    before: bool = False
