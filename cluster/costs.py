"""What a collection in shards costs: times of a search, cores, memory and money, by a model of few numbers.

Pure functions. A search asks all shards three times, and each time waits for the slowest: of N independent
ones the slowest stays below what one exceeds with probability 1 - q^(1/N), with probability q. A shard's time
is taken as lognormal; ``docs/cluster.md`` says what was measured, and what is only assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured medians, in milliseconds of one core, and what is assumed.

    find, find_million   finding candidates in a shard: in any, and more for each million of passages
    compare, fetch       comparing tokens, and reading and explaining hits, in a shard
    hop                  a message to a shard and its reply
    encode, http         at the ingress: encoding a query and merging; and the request itself
    spread               sigma of the logarithm of a shard's time
    passage_bytes        of a passage on the disk and, for a search to be fast, in memory
    process_gb           of a replica without its passages
    """

    find: float
    find_million: float
    compare: float
    fetch: float
    hop: float
    encode: float
    http: float
    spread: float
    passage_bytes: float
    process_gb: float

    def work(self, passages: int) -> float:
        """Milliseconds of a core that a shard of so many ``passages`` works for a search."""
        return self.find + self.find_million * passages / 1e6 + self.compare + self.fetch


# Of squad-open on two cores, on which others worked as well (docs/cluster.md). Assumed are `find_million`
# (of a graph and postings), `http` and `process_gb`.
COSTS = Costs(
    find=1.45, find_million=10.0, compare=0.5, fetch=0.5, hop=8.0, encode=1.5, http=10.0, spread=0.5,
    passage_bytes=5_456, process_gb=0.3,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a collection takes; ``price_per_thousand`` queries where all cores are busy."""

    shards: int
    cores: int
    memory_gb: float
    p50_ms: float
    p99_ms: float
    p99_hedged_ms: float
    queries_per_second: float
    price_per_thousand: float


def slowest(median: float, spread: float, shards: int, quantile: float) -> float:
    """The ``quantile`` of the slowest of ``shards`` lognormal times with this ``median`` and ``spread``."""
    return median * math.exp(spread * NormalDist().inv_cdf(quantile ** (1 / shards)))


def slowest_hedged(
    median: float, spread: float, shards: int, quantile: float, after: float = 0.95
) -> float:
    """The same where a second replica is asked as well, once a shard takes longer than ``after`` of all.

    A shard is late where its first replica is and the second needs longer than what is left by then.
    """
    normal = NormalDist()
    delay = median * math.exp(spread * normal.inv_cdf(after))

    def late(time: float) -> float:
        """The probability that a shard takes longer than ``time``."""
        first = 1 - normal.cdf(math.log(time / median) / spread)
        if time <= delay:
            return first
        return first * (1 - normal.cdf(math.log((time - delay) / median) / spread))

    low, high = median * 1e-3, slowest(median, spread, shards, quantile)
    wanted = 1 - quantile ** (1 / shards)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if late(middle) > wanted else (low, middle)
    return high


def estimate(
    passages: int, shard_passages: int, replicas: int, core_price: float, costs: Costs
) -> Estimate:
    """What ``passages`` take in shards of at most ``shard_passages``, a core for each replica.

    A core costs ``core_price`` an hour. The ingress has as many cores as keep the shards busy.
    """
    shards = math.ceil(passages / shard_passages)
    own = math.ceil(passages / shards)
    finding = costs.find + costs.find_million * own / 1e6
    steps = [costs.hop + one for one in (finding, costs.compare, costs.fetch)]
    at_ingress = costs.encode + costs.http

    def total(quantile: float, hedged: bool = False) -> float:
        wait = slowest_hedged if hedged else slowest
        return at_ingress + sum(wait(one, costs.spread, shards, quantile) for one in steps)

    rate = 1e3 * replicas / costs.work(own)
    cores = shards * replicas + math.ceil(rate * (at_ingress + 3 * costs.hop) / 1e3)
    memory = passages * replicas * costs.passage_bytes / 1e9 + cores * costs.process_gb
    return Estimate(
        shards, cores, memory, total(0.5), total(0.99), total(0.99, hedged=True), rate,
        1e3 * cores * core_price / 3_600 / rate,
    )  # fmt: skip
