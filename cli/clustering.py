"""``lurcher serve-cluster``, ``sync-cluster`` and ``size-cluster``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.console import console, progress
from lurcher.cli.extras import needing
from lurcher.cli.writing import (
    CorpusPath,
    Delimiter,
    Encoding,
    Field,
    RankerModel,
    Types,
    reading_of,
)
from lurcher.threads import one_blas_thread

app = typer.Typer()


@app.command("serve-cluster")
def serve_cluster(
    cluster: Annotated[
        Path, typer.Argument(help="The cluster.json that `lurcher build --shards` wrote, or its folder.")
    ],
    ray: Annotated[
        str,
        typer.Option(help="Address of the Ray cluster to serve on; 'local': one that is started here."),
    ] = "local",
    host: Annotated[str, typer.Option(help="Address that Serve listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that it listens on.")] = 8080,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of every shard, at least.")] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas of a shard, at most; default: their number is fixed."),
    ] = None,
    ingresses: Annotated[int, typer.Option(min=1, help="Replicas of what takes requests.")] = 1,
    shard_timeout_ms: Annotated[
        int,
        typer.Option(min=1, help="Time that a shard has for one request; then its part is left out."),
    ] = 1_000,
    writable: Annotated[
        bool, typer.Option("--writable", help="Take writes: a process more for each shard.")
    ] = False,
    shard_cpus: Annotated[
        float, typer.Option(min=0.01, help="Cores that a replica of a shard reserves, and its writer.")
    ] = 1.0,
    ingress_cpus: Annotated[
        float, typer.Option(min=0.01, help="Cores that a replica of the ingress reserves.")
    ] = 1.0,
) -> None:  # fmt: skip
    """Serve a collection in shards on Ray, until Ctrl-C; settings come from LURCHER_... variables.

    SIGHUP goes over to the version that CLUSTER leads to by then, without a partial reply.
    """
    one_blas_thread()
    with needing("ray"):
        from lurcher.cluster.deploying import serve_until_stopped
        from lurcher.cluster.on_ray import joined
        from lurcher.cluster.serving import ServeOptions, check_here
    from lurcher.server.settings import load_settings

    settings = load_settings(None, {"bundle": [str(cluster)]})
    given = settings.model_dump(mode="json", exclude_unset=True, exclude={"bundle"})
    options = ServeOptions(
        cluster=cluster.absolute(), replicas=replicas, max_replicas=max_replicas, ingresses=ingresses,
        shard_timeout_ms=shard_timeout_ms, writable=writable, shard_cpus=shard_cpus,
        ingress_cpus=ingress_cpus,
        engine=settings.engine, check_hashes=settings.check_hashes, settings=given,
    )  # fmt: skip
    check_here(options)
    with joined(ray):
        serve_until_stopped(options, host, port, console.print)


@app.command("sync-cluster")
def sync_cluster(
    cluster: Annotated[
        Path, typer.Argument(help="The cluster.json that is there, or its folder; it stays as it is.")
    ],
    corpus: CorpusPath,
    out: Annotated[Path, typer.Argument(help="The new folder, for the next version.")],
    encoding: Encoding = None, delimiter: Delimiter = None, field: Field = None,
    types: Types = None, ranker_model: RankerModel = None,
) -> None:  # fmt: skip
    """Write the next version of a collection, equal to a corpus; only what has changed is encoded."""
    from lurcher.cluster.sync import sync_cluster as write
    from lurcher.index_builder.corpus import read_corpus
    from lurcher.threads import available_cpus

    reading = reading_of(encoding, delimiter, field, types)
    with progress() as bar:
        _, done = write(
            cluster, out, lambda: read_corpus(corpus, reading), bar, threads=available_cpus(),
            ranker_model=ranker_model,
        )  # fmt: skip
    console.print(
        f"{out}: {done.written:,} documents written, {done.unchanged:,} unchanged, "
        f"{done.deleted:,} deleted",
        soft_wrap=True,
    )


@app.command("size-cluster")
def size_cluster(
    passages: Annotated[list[int], typer.Argument(min=1, help="Passages of the collection.")],
    shard_passages: Annotated[
        int, typer.Option(min=1, help="Passages that a shard holds.")
    ] = 1_000_000,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of every shard.")] = 1,
    core_price: Annotated[
        float, typer.Option(min=0, help="What a core costs for an hour, in any currency.")
    ] = 0.04,
) -> None:  # fmt: skip
    """Say what machines, times and money a collection in shards takes, by a model fitted to one machine."""
    from rich.table import Table

    from lurcher.cluster.costs import COSTS, estimate

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in (
        "passages", "shards", "cores", "GB", "p50 ms", "p99 ms", "hedged ms", "queries/s", "price/1000",
    ):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for count in passages:
        found = estimate(count, shard_passages, replicas, core_price, COSTS)
        table.add_row(
            f"{count:,}", f"{found.shards:,}", f"{found.cores:,}", f"{found.memory_gb:,.0f}",
            f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}", f"{found.p99_hedged_ms:.1f}",
            f"{found.queries_per_second:.0f}", f"{found.price_per_thousand:.4f}",
        )  # fmt: skip
    console.print(table)
