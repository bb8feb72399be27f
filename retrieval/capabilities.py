"""What a bundle can be asked, and how it answers a given query: decided here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import NeighbourSettings, VotingSettings
from lurcher.errors import FieldError
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.retrieval.query import NeighbourPlan, Plan, Query, RankerName, RankMode, RetrieverName

# How many of the first stage's hits are ranked, unless a query asks for more hits than these.
CANDIDATES = 100
# How many candidates the adapted index is asked for, at least: their order is made anew by how near the query
# is to the known ones of each.
_REORDERED_DEPTH = 100

NO_TOKENS = "this bundle has no tokens to rank by; `lurcher build` makes one that has"
NO_DECODER = (
    "this bundle has no decoder; `lurcher swap-ranker` or `lurcher build --ranker` adds one"
)
NO_T5 = "this bundle has no T5; `lurcher build --ranker` adds one"
NO_READER = "this bundle has no reader; `lurcher build --answers` makes one that has"
NO_KNOWN_QUERIES = "this bundle has no known queries to adapt its passages to: see `lurcher adapt`"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which parts a bundle has.

    ``calibrated`` says whether the probabilities of its reader were measured on its own passages.
    """

    tokens: bool
    decoder: bool
    t5: bool
    reader: bool
    known: NeighbourSettings | None
    calibrated: bool = False

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
            calibrated=reader is not None and reader.calibration_corpus == manifest.corpus_hash,
        )

    def ranker(self, rank: RankMode) -> RankerName | None:
        """What ranks where ``rank`` is asked for; None for nothing. Raises FieldError."""
        if rank == "auto":
            return "maxsim" if self.tokens else None
        if rank == "off":
            return None
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

    def plan(self, query: Query, learnt: bool = False) -> Plan:
        """How ``query`` is answered. Raises FieldError for what this bundle cannot do.

        ``learnt`` says that there are known queries which the server has learnt since the bundle was made.
        """
        ranker, neighbours = self.ranker(query.rank), self._neighbours(query, learnt)
        depth = query.top_k
        if ranker is not None:
            depth = max(depth, CANDIDATES if query.candidates is None else query.candidates)
        if neighbours == "off":
            return Plan(ranker, neighbours, ("dense",), depth, depth)
        weight = query.dense_weight
        if weight is None:
            weight = self._tuned_weight(neighbours)
        if neighbours != "adapted":
            return Plan(ranker, neighbours, ("dense", neighbours), depth, depth, weight)
        # The adapted index finds what known queries have brought near, the other what they have moved away
        # from queries unlike them. What was learnt since may move passages that neither finds.
        found_by: tuple[RetrieverName, ...] = ("adapted", "dense")
        retrievers = (*found_by, "voting") if learnt else found_by
        deep = max(depth, _REORDERED_DEPTH)
        return Plan(ranker, neighbours, retrievers, deep, depth, weight)

    def _neighbours(self, query: Query, learnt: bool) -> NeighbourPlan:
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
