"""``lurcher bench faults``: what becomes of well-behaved clients while others, or the machine, misbehave.

Searches are sent in an open loop, whose right replies are known. Meanwhile one fault after the other is done
to the server for some seconds (``misbehaviour``). No reply may be wrong, and none lost.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table

from lurcher.benchmarks import misbehaviour
from lurcher.benchmarks.misbehaviour import Fault, Victim
from lurcher.benchmarks.open_loop import BROKEN, Address, Connections, at_random, request_of
from lurcher.benchmarks.server import running_server
from lurcher.errors import ServiceError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.edit.snapshots import snapshot

# Each fault, and the flags of the server that has to bear it.
FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "none": (misbehaviour.nothing, ()),
    "clients vanish": (misbehaviour.vanish, ()),
    "slow heads": (misbehaviour.slow_head, ()),
    "slow bodies": (misbehaviour.slow_body, ()),
    "replies unread": (misbehaviour.never_read, ()),
    "2,000 idle connections": (misbehaviour.idle, ("--max-connections", "4000")),
    "half-closed sockets": (misbehaviour.half_close, ()),
    "pipelining": (misbehaviour.pipeline, ()),
    "64 MB bodies": (misbehaviour.large_body, ()),
    "bundle swapped": (misbehaviour.swap, ()),
    "no room for logs": (misbehaviour.fill_disk, ()),
    "files deleted": (misbehaviour.delete, ()),
    "SIGTERM": (misbehaviour.terminate, ()),
    "a worker of two killed": (misbehaviour.kill_worker, ("--workers", "2")),
}
_OUTCOMES = ("right", "degraded", "refused", "wrong", "lost", "not taken")
_QUERIES = 50
_CANDIDATES = 75  # in any case, or a search by vectors alone would rank more of them
# What a reply may say was left out, and the fields of a search that does without it.
_LEFT_OUT: dict[frozenset[str], dict[str, Any]] = {
    frozenset(): {},
    frozenset({"rank"}): {"rank": "off"},
    frozenset({"retrieve_lexical"}): {"retrieve": "dense"},
    frozenset({"rank", "retrieve_lexical"}): {"rank": "off", "retrieve": "dense"},
}
_PATIENCE = 30.0  # seconds for a reply


@dataclass(frozen=True)
class Truth:
    """A search, and the ids of its hits, by what was left out to be quicker."""

    request: bytes
    ids: Mapping[frozenset[str], Sequence[str]]


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle; it is copied and stays as it is.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl; the first 50 are asked.")],
    rate: Annotated[float, typer.Option(min=0.1, help="Searches a second.")] = 60,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds a fault.")] = 8,
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join(FAULTS)}.")] = None,
) -> None:
    """Count right, refused, wrong and lost replies under each fault."""
    texts = list(read_queries(queries).values())[:_QUERIES]
    table = Table(Column("fault", no_wrap=True), *_OUTCOMES, "p99 ms")
    for name, (fault, flags) in FAULTS.items():
        if only in (None, name):
            counts, latencies = counted(bundle, texts, fault, flags, rate, seconds)
            p99 = f"{np.percentile(latencies, 99):.0f}" if latencies else ""
            table.add_row(name, *(f"{counts[one]:,}" for one in _OUTCOMES), p99)
    Console().print(table)
    print(
        "right: the hits of the same search before; degraded: those of one without what the reply names;\n"
        "refused: 429 or 503, with Retry-After; not taken: sent after the server was told to stop, and\n"
        "not answered. A worker that is killed loses what it has in hand."
    )


def counted(
    bundle: Path, texts: Sequence[str], fault: Fault, flags: Sequence[str], rate: float, seconds: float
) -> tuple[Counter[str], list[float]]:  # fmt: skip
    """How many replies there were of each kind while ``fault`` was done, and the latencies of hits in ms."""
    with _victim(bundle, flags) as (address, process, path):
        truths = asyncio.run(_truths(address, texts))
        victim = Victim(address, process, path, truths[0].request)
        return asyncio.run(_under(fault, victim, truths, rate, seconds))


@contextmanager
def _victim(bundle: Path, flags: Sequence[str]) -> Iterator[tuple[Address, int, Path]]:
    """The address and process of a server of a copy of ``bundle``, and the link by which it is served."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix=".faults.", dir=bundle.parent))
        )
        for name in ("copy-1", "copy-2"):
            snapshot(bundle, folder / name)
        link = folder / bundle.name
        link.symlink_to(folder / "copy-1")
        address, process = stack.enter_context(running_server(link, *flags))
        yield address, process.pid, link


async def _truths(address: Address, texts: Sequence[str]) -> list[Truth]:
    """What the server at ``address`` answers while nothing else is asked."""
    connections, found = Connections(address), []
    for text in texts:
        ids, search = {}, {"query": text, "candidates": _CANDIDATES}
        for left_out, fields in _LEFT_OUT.items():
            status, body = await connections.post(request_of({**search, **fields}, None))
            if status != 200:
                raise ServiceError(f"{text!r} was answered by {status}")
            ids[left_out] = _ids(json.loads(body))
        found.append(Truth(request_of(search, None), ids))
    await connections.close()
    return found


async def _under(
    fault: Fault, victim: Victim, truths: Sequence[Truth], rate: float, seconds: float
) -> tuple[Counter[str], list[float]]:
    """What becomes of searches while ``fault`` is done."""
    counts: Counter[str] = Counter()
    latencies: list[float] = []
    connections = Connections(victim.address)

    async def ask(number: int, due: float) -> None:
        truth = truths[number % len(truths)]
        begun = perf_counter()
        try:
            status, headers, body = await asyncio.wait_for(
                connections.exchange(truth.request), _PATIENCE
            )
        except BROKEN:
            told = victim.told_to_end  # a server that ends answers what it had before
            counts["lost" if told is None or begun < told else "not taken"] += 1
            return
        counts[outcome_of(status, headers, body, truth)] += 1
        if status == 200:
            latencies.append((perf_counter() - due) * 1_000)

    doing = asyncio.ensure_future(fault(victim, seconds))
    await asyncio.gather(doing, at_random(ask, max(1, round(rate * seconds)), rate))
    await connections.close()
    return counts, latencies


def outcome_of(status: int, headers: Sequence[bytes], body: bytes, truth: Truth) -> str:
    """What became of a search that was answered so; a refusal has to say when to try again."""
    if status in (429, 503) and any(one.startswith(b"retry-after:") for one in headers):
        return "refused"
    if status != 200:
        return "lost"
    reply = json.loads(body)
    left_out = frozenset(reply["degraded"])
    if _ids(reply) != truth.ids.get(left_out):
        return "wrong"
    return "degraded" if left_out else "right"


def _ids(reply: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in reply["hits"]]
