"""Where the tokens of a query met those of a passage, in the words of both."""

from __future__ import annotations

from dataclasses import dataclass

from lurcher.bundle.passages import Passage
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.retrieval.places import Part, Place, in_passage
from lurcher.retrieval.ranking import Asked, Ranking


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


def _floats(numbers: Vectors) -> list[float]:
    found: list[float] = numbers.tolist()
    return found
