"""Bundles in which words count, what they find, and what the lexical score is to add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Condition
from lurcher.models.encoders.encoder import Encoder
from lurcher.retrieval.capabilities import LEXICAL_WEIGHT
from lurcher.retrieval.fusion import NAMED_WEIGHT
from lurcher.retrieval.names import named_share
from lurcher.retrieval.query import Query, RankMode, RetrieveMode
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot

GAIN = 0.4
MODES: list[RetrieveMode] = ["auto", "hybrid", "dense", "lexical"]
RANKS: list[RankMode] = ["off", "maxsim", "decoder"]
ENGLISH = (Condition("lang", "in", ("en",)),)
LATE = (Condition("year", "range", (2010, None, None, None)),)
NOTHING = (Condition("year", "range", (None, None, 1900, None)),)
TEXTS = [
    "a sleeping cat",
    "glacier valley",
    "Brot und Hefe",
    "animals",
    "the orchestra tunes to the oboe",
    "yeast xylophone",
    "xylophone",
    "!?",
    "Katze Fensterbank BC-547B",
]


def gaining(bundle: Bundle, gain: float = GAIN) -> Bundle:
    """``bundle`` as if its words had been found to find this much more than its vectors do."""
    figures = bundle.manifest.figures.model_copy(update={"lexical_gain": gain})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"figures": figures}))


def ask(snapshot: Snapshot, query: Query) -> SearchResult:
    (result,) = snapshot.run([query])
    assert isinstance(result, SearchResult), result
    return result


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


@cache
def encoder(snapshot: Snapshot) -> Encoder:
    """A query encoder like that of ``snapshot``, which takes long to load."""
    return snapshot.bundle.query_encoder(1)


def lexical(bundle: Bundle) -> LexicalIndex:
    assert bundle.lexical is not None
    return bundle.lexical


def word_weight(snapshot: Snapshot, text: str, gain: float = GAIN, answered: float = 0.0) -> float:
    """What the lexical score counts for the query ``text`` beside a ranker's.

    ``answered`` is how sure it is that a known query means the same.
    """
    index = lexical(snapshot.bundle)
    terms = index.look_up(index.analyser.query_terms(text))
    named = named_share(text, encoder(snapshot).own_spans(text), terms)
    return LEXICAL_WEIGHT * max(0.0, gain) + NAMED_WEIGHT * (named * (1 - answered)) ** 3
