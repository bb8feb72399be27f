"""Where the tokens of a query met those of a passage, in the words of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bundle.passages import Passage
from bundle.vectors import Vectors
from models.encoders.encoder import Encoder
from server.ranking import Asked, Ranking

Part = Literal["title", "text"]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Match:
    """A query's token and the passage's that it met best; places are start and end in code points.

    Over a passage's matches, ``weight`` times ``similarity`` adds up to its late score, but for tokens that
    stand for no character.
    """

    query: Place
    part: Part
    passage: Place
    similarity: float
    weight: float


def matches(
    ranking: Ranking, asked: Asked, query: list[Place], encoder: Encoder, row: int, passage: Passage
) -> list[Match]:
    """Those of the passage at ``row``, which ``encoder`` reads, in the order of the query's tokens.

    ``query`` says where these stand.
    """
    tokens, similarities = ranking.met(asked, row)
    if not len(tokens):
        return []
    spans = encoder.own_spans(passage.content)
    found = []
    for mine, token, similarity, weight in zip(
        query, tokens.tolist(), _floats(similarities), _floats(asked.weights), strict=True
    ):
        if token >= len(spans):  # a store that was not made of this text
            continue
        place = in_passage(passage, spans[token])
        if place is not None and mine[0] < mine[1]:
            found.append(Match(mine, *place, similarity, weight))
    return found


def in_passage(passage: Passage, span: Place) -> tuple[Part, Place] | None:
    """In which part of ``passage`` a ``span`` of its content lies, and where there; None if in neither.

    Of one that reaches over the blank between title and text, it is the part with more of it.
    """
    whole = f"{passage.title} {passage.text}"
    stripped = len(whole) - len(whole.lstrip())
    start, end = span[0] + stripped, span[1] + stripped
    title = (start, min(end, len(passage.title)))
    before = len(passage.title) + 1
    text = (max(start - before, 0), end - before)
    inside: list[tuple[Part, Place]] = [("text", text), ("title", title)]
    part, place = max(inside, key=lambda one: one[1][1] - one[1][0])
    return (part, place) if place[0] < place[1] else None


def _floats(numbers: Vectors) -> list[float]:
    found: list[float] = numbers.tolist()
    return found
