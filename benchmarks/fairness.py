"""``lurcher bench fairness``: what a client that asks for much more than the others costs these.

Several clients, told apart by their addresses, ask at one rate each. In every second turn another one asks at
ten times that rate beside them, so that what else the machine does meets turns with it and without alike.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.open_loop import Address, Outcome, Sent, offer, request_of, together
from lurcher.benchmarks.server import running_server
from lurcher.benchmarks.timing import spread
from lurcher.evaluation.judgements import read_queries

_HEAVY = 10  # times the rate of each of the others
_ADDRESS = "127.0.0.{}"  # of a client; loopback has all of these on Linux
_PERCENTILES = (50, 95, 99)


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    others: Annotated[int, typer.Option(min=1, max=100, help="Clients beside the heavy one.")] = 4,
    rate: Annotated[float, typer.Option(min=0.1, help="Searches a second of each of them.")] = 10,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds a turn.")] = 10,
    turns: Annotated[int, typer.Option(min=1, help="Turns with the heavy client.")] = 5,
) -> None:
    """Print the others' latencies without the heavy client and with it, and their ratio in turns."""
    texts = list(read_queries(queries).values())
    requests = [Sent("search", request_of({"query": text}, None)) for text in texts]
    found: dict[str, list[Outcome]] = {"alone": [], "beside it": []}
    heavy: list[Outcome] = []
    with running_server(bundle) as (address, _):
        asyncio.run(_asked(address, requests, others * [rate], 2.0))  # warms up
        for _ in range(turns):
            found["alone"].append(
                together(asyncio.run(_asked(address, requests, others * [rate], seconds)))
            )
            one, *beside = asyncio.run(
                _asked(address, requests, [_HEAVY * rate, *others * [rate]], seconds)
            )
            heavy.append(one)
            found["beside it"].append(together(beside))
    table = Table("clients", "offered/s", "served/s", "p50 ms", "p95", "p99", "refused", "degraded")
    rows = {f"{others} others {name}": outcomes for name, outcomes in found.items()}
    for name, outcomes in {**rows, "the heavy one": heavy}.items():
        every = together(outcomes)
        table.add_row(
            name, f"{every.rate / turns:.0f}",
            f"{len(every.served) / sum(one.seconds for one in outcomes):.0f}",
            *(f"{every.percentile(share):.1f}" for share in _PERCENTILES),
            f"{len(every.refused) / every.sent:.1%}", f"{every.degraded / every.sent:.1%}",
        )  # fmt: skip
    Console().print(table)
    ratios = [
        [two.percentile(share) / one.percentile(share) for share in _PERCENTILES]
        for one, two in zip(*found.values(), strict=True)
    ]
    told = spread(ratios, _PERCENTILES, (0, 0.5, 1))
    print(f"beside it against alone, {turns} pairs of turns (least, median, most): {told}")


async def _asked(
    address: Address, requests: list[Sent], rates: list[float], seconds: float
) -> list[Outcome]:
    """What became of the searches of each client, which sends so many a second."""
    clients = [
        offer(address, requests, rate, seconds, _ADDRESS.format(number), seed=number)
        for number, rate in enumerate(rates, 1)
    ]
    outcomes = await asyncio.gather(*clients)
    return [one["search"] for one in outcomes]
