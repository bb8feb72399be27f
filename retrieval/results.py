"""What callers get: hits, explanations of them, answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lurcher.bundle.passages import Passage
from lurcher.models.reader.evidence import Evidence

# First code point of a part of a text, and the one after its last.
Span = tuple[int, int]
Part = Literal["title", "text"]


@dataclass(frozen=True, slots=True)
class ContributingNeighbour:
    """A known query that raised a hit; ``share`` is its part of the hit's neighbour score."""

    id: str  # empty for one that was learnt from feedback since the bundle was made
    text: str
    similarity: float  # inner product with the query
    share: float


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """A token of the query and the passage's token that is most similar to it.

    Over a passage's matches, ``weight`` times ``similarity`` adds up to its maxsim score, except for tokens
    that stand for no character.
    """

    query: Span
    part: Part
    passage: Span
    similarity: float
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage was found; None for what was not asked for or does not apply."""

    contributing_neighbours: list[ContributingNeighbour] | None = None
    token_alignment: list[TokenMatch] | None = None
    highlights: list[Span] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found.

    ``score`` is what hits are ordered by. ``scores`` has what each stage gave, by name: ``dense`` (inner
    product of the vectors), ``lexical`` where words count, ``neighbours`` where known queries do, ``fused``
    where either does, ``maxsim`` and ``rank`` where hits were ranked. Where texts are folded, ``duplicates``
    is how many more passages that may be found have nearly this text. Where several collections were asked,
    ``collection`` is the name of the one that it is from.
    """

    passage: Passage
    score: float
    scores: dict[str, float]
    explanation: Explanation = field(default_factory=Explanation)
    duplicates: int = 0
    collection: str = ""

    @property
    def id(self) -> str:
        """The passage's id."""
        return self.passage.id

    @property
    def title(self) -> str:
        """The passage's title and section in one line."""
        return self.passage.heading

    @property
    def text(self) -> str:
        """The passage's text."""
        return self.passage.text


@dataclass(frozen=True, slots=True)
class Answer:
    """The words at ``span``, in code points, of a ``part`` of a passage; ``score`` is the probability that
    they are right, made of ``evidence``. ``collection`` as in a hit."""

    text: str
    score: float
    passage: Passage
    part: Part
    span: Span
    # Not compared: a server does not send it.
    evidence: Evidence | None = field(default=None, compare=False, repr=False)
    collection: str = ""


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """What a T5 wrote from the passages with ``ids``; ``score`` is how sure it is of its words, 0 to 1."""

    text: str
    score: float
    ids: list[str]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one query, best first, and its answers if it was read for any.

    ``seconds`` by stage are those of the batch that the query ran in. ``degraded`` names stages that were
    left out or cut short to keep the deadline. ``truncated`` says that the query was longer than the encoder
    reads, ``question`` that it reads like a question (``retrieval.questions``).
    """

    hits: list[Hit]
    truncated: bool
    seconds: dict[str, float]
    degraded: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    written: WrittenAnswer | None = None
    question: bool = False


@dataclass(frozen=True, slots=True)
class RerankResult:
    """Scores (C,) of the passages in the order given, and which of them were cut.

    ``truncated`` says that the query was longer than the encoder reads; ``truncated_documents`` are places of
    the documents that were.
    """

    scores: list[float]
    truncated: bool
    truncated_documents: list[int] = field(default_factory=list)
