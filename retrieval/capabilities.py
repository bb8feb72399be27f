"""What a bundle can be asked, and how it answers a given query: decided here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from lurcher.bundle.bundle import NO_VECTORS, Bundle
from lurcher.bundle.neighbours import NeighbourSettings, VotingSettings
from lurcher.errors import FieldError
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.ranker.presets import PRESETS, Preset
from lurcher.retrieval.query import (
    NeighbourPlan,
    Plan,
    Query,
    RankerName,
    RankMode,
    RetrieveMode,
    RetrieverName,
)

# How many of the first stage's hits are ranked, unless a query asks for more hits than these.
CANDIDATES = 100
# The same where two indexes found them: among so few is as much of what is relevant.
HYBRID_CANDIDATES = 75
# What the lexical score counts beside a ranker's, times what the build measured: how much better words find
# the passages' own phrases than vectors do. The preset of a corpus adds to it.
LEXICAL_WEIGHT = 0.5
# How many candidates the adapted index is asked for, at least: their order is made anew by how near the query
# is to the known ones of each.
_REORDERED_DEPTH = 100

NO_TOKENS = "this bundle has no tokens to rank by; `lurcher build` makes one that has"
NO_DECODER = (
    "this bundle has no decoder; `lurcher swap-ranker` or `lurcher build --ranker` adds one"
)
NO_T5 = "this bundle has no T5; `lurcher build --ranker` adds one"
NO_READER = "this bundle has no reader; `lurcher build --answers` makes one that has"
NO_LEXICAL = "this bundle has no lexical index; `lurcher build` makes one that has"
NO_VECTORS_ASKED = "known queries are found by vectors, which `retrieve: lexical` does not read"
NO_KNOWN_QUERIES = "this bundle has no known queries to adapt its passages to: see `lurcher adapt`"

# The indexes that are asked, by what a query says.
_INDEXES: dict[RetrieveMode, tuple[RetrieverName, ...]] = {
    "auto": ("dense", "lexical"), "hybrid": ("dense", "lexical"),
    "dense": ("dense",), "lexical": ("lexical",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which parts a bundle has.

    ``lexical`` is the measured gain of the lexical index (``Figures.lexical_gain``), None without one.
    ``preset`` has what scores count beside each other.
    ``calibrated`` says whether the probabilities of its reader were measured on its own passages.
    """

    tokens: bool
    decoder: bool
    t5: bool
    reader: bool
    known: NeighbourSettings | None
    vectors: bool = True
    lexical: float | None = None
    calibrated: bool = False
    preset: Preset = PRESETS["prose"]

    @classmethod
    def of(cls, bundle: Bundle) -> Capabilities:
        """Those of ``bundle``."""
        manifest = bundle.manifest
        reader = manifest.reader
        return cls(
            tokens=bundle.tokens is not None,
            decoder=isinstance(manifest.ranker, DecoderConfig),
            t5=bundle.states is not None,
            reader=reader is not None,
            known=None if bundle.neighbours is None else bundle.neighbours.settings,
            vectors=bundle.index is not None,
            lexical=None if bundle.lexical is None else manifest.figures.lexical_gain or 0.0,
            preset=bundle.preset,
            calibrated=reader is not None and reader.calibration_corpus == manifest.corpus_hash,
        )

    def ranker(self, rank: RankMode) -> RankerName | None:
        """What ranks where ``rank`` is asked for; None for nothing. Raises FieldError."""
        if rank == "auto":
            return "maxsim" if self.tokens else None
        if rank == "off":
            return None
        if not self.vectors:
            raise FieldError("rank", NO_VECTORS)
        if rank == "t5":
            if not self.t5:
                raise FieldError("rank", NO_T5)
            return rank
        if not self.tokens:
            raise FieldError("rank", NO_TOKENS)
        if rank == "decoder" and not self.decoder:
            raise FieldError("rank", NO_DECODER)
        if rank == "reader" and not self.reader:
            raise FieldError("rank", NO_READER)
        return rank

    def ranks(self, rank: RankMode) -> bool:
        """Whether queries that ask for ``rank`` are ranked, if they are answered at all."""
        try:
            return self.ranker(rank) is not None
        except FieldError:
            return False

    def default_candidates(self, rank: RankMode, retrieve: RetrieveMode) -> int | None:
        """How many candidates are ranked where a query does not say; None if it is not ranked."""
        if not self.ranks(rank):
            return None
        hybrid = len(_INDEXES[retrieve]) > 1 and self.lexical is not None
        return HYBRID_CANDIDATES if hybrid else CANDIDATES

    def plan(self, query: Query, learnt: bool = False) -> Plan:
        """How ``query`` is answered. Raises FieldError for what this bundle cannot do.

        ``learnt`` says that there are known queries which the server has learnt since the bundle was made.
        """
        if query.query_syntax == "phrase" and self.lexical is None:
            raise FieldError("query_syntax", NO_LEXICAL)
        ranker, found_by = self.ranker(query.rank), self._found_by(query.retrieve)
        neighbours = self._neighbours(query, learnt, found_by)
        lexical_weight = None
        preset = self.preset if query.preset is None else PRESETS[query.preset]
        if "lexical" in found_by:
            gain = self.lexical if query.lexical_gain is None else query.lexical_gain
            lexical_weight = LEXICAL_WEIGHT * max(0.0, gain or 0.0) + preset.lexical
        depth = self._depth(query)
        # Of two lists each is asked for enough to make one of what is good in both.
        deep = max(depth, CANDIDATES) if len(found_by) > 1 else depth
        weight = query.dense_weight
        if neighbours == "off":
            weight = None
        elif weight is None:
            weight = self._tuned_weight(neighbours)
        if neighbours == "adapted":
            # The adapted index finds what known queries have brought near, the other what they have moved
            # away from queries unlike them. What was learnt since may move passages that neither finds.
            found_by = ("adapted", *found_by, *(("voting",) if learnt else ()))
            deep = max(depth, _REORDERED_DEPTH)
        elif neighbours != "off":
            found_by = (*found_by, neighbours)
        return Plan(ranker, neighbours, found_by, deep, depth, weight, lexical_weight, preset.late)

    def _depth(self, query: Query) -> int:
        """How many candidates are left of the first stage; the same for all pages of hits.

        Raises FieldError for a page beyond them: more candidates might come before those of earlier pages.
        """
        default = self.default_candidates(query.rank, query.retrieve)
        if default is None and query.candidates is None and not query.offset:
            return query.top_k
        depth = (default or CANDIDATES) if query.candidates is None else query.candidates
        if query.offset and query.last > depth:
            reason = (
                f"offset + top_k is {query.last}, and pages are parts of {depth} candidates; ask for more "
                "`candidates`, as many on each page"
            )
            raise FieldError("offset", reason)
        return max(depth, query.top_k)

    def _found_by(self, retrieve: RetrieveMode) -> tuple[RetrieverName, ...]:
        """The indexes that find candidates. Raises FieldError for one that the bundle has not."""
        asked = _INDEXES[retrieve]
        if retrieve == "auto":
            has = {"dense": self.vectors, "lexical": self.lexical is not None}
            return tuple(name for name in asked if has[name])
        if "dense" in asked and not self.vectors:
            raise FieldError("retrieve", NO_VECTORS)
        if "lexical" in asked and self.lexical is None:
            raise FieldError("retrieve", NO_LEXICAL)
        return asked

    def _neighbours(
        self, query: Query, learnt: bool, found_by: tuple[RetrieverName, ...]
    ) -> NeighbourPlan:
        if "dense" not in found_by:
            if query.neighbours in ("adapted", "voting"):
                reason = NO_VECTORS_ASKED if self.vectors else NO_VECTORS
                raise FieldError("neighbours.mode", reason)
            return "off"
        online: NeighbourPlan = "online" if learnt else "off"
        if query.neighbours == "auto":
            tuned = "off" if self.known is None else self.known.mode
            return online if tuned == "off" else tuned
        if self.known is not None or query.neighbours == "off":
            return query.neighbours
        if query.neighbours == "voting":
            return online
        raise FieldError("neighbours.mode", NO_KNOWN_QUERIES)

    def _tuned_weight(self, neighbours: NeighbourPlan) -> float:
        if self.known is None or neighbours == "online":
            return VotingSettings().dense_weight
        settings = self.known.adapted if neighbours == "adapted" else self.known.voting
        return settings.dense_weight
