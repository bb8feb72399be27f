"""``lurcher swap-encoder``, ``swap-ranker``, ``swap-reader`` and ``adapt``: make a bundle from another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.console import console, progress, warn
from lurcher.cli.options import BundlePath, KnownQrels, SkipUnknown, pair
from lurcher.cli.sections import kept, print_neighbours, print_section, warn_of_loss

app = typer.Typer()


@app.command("swap-encoder")
def swap_encoder(
    bundle: BundlePath,
    student: Annotated[
        str,
        typer.Argument(help="A folder that `lurcher compress` wrote; or a profile, as in build."),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(help="The bundle to write; default: NAME-STUDENT.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Make a bundle with another query encoder; its passages are not encoded again."""
    from lurcher.index_builder.edit.swap_encoder import swap_encoder as swap
    from lurcher.models.pretrained import PROFILES

    chosen = PROFILES[student] if student in PROFILES else Path(student)
    with progress() as bar:
        made, manifest = swap(bundle, chosen, out, bar)
    reader, swapped = manifest.student, manifest.swap
    name = reader.name if reader else manifest.encoder_name
    console.print(f"{made}: {name} reads the queries", soft_wrap=True)
    if reader is not None:
        print_section("against its teacher", kept(reader))
        warn_of_loss(reader)
    if swapped is not None and swapped.built_effort is not None:
        print_section(
            "index",
            {
                "search effort": f"{manifest.figures.search_effort}, was {swapped.built_effort}",
                "recall@100": f"{swapped.recall:.4f}, was {swapped.built_recall:.4f}",
            },
        )
    if swapped is not None and swapped.recall < swapped.built_recall:
        warn(
            f"with {name} the index finds {swapped.recall:.3f} of exact search's first 100, "
            f"and found {swapped.built_recall:.3f} before"
        )


@app.command("swap-ranker")
def swap_ranker(
    bundle: BundlePath,
    ranker: Annotated[Path, typer.Argument(help="A decoder that `lurcher train ranker` wrote.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="The bundle to write; default: NAME-DECODER.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Make a bundle with another decoder to rank with; its passages are not encoded again."""
    from lurcher.index_builder.edit.swap_ranker import swap_ranker as swap

    made, manifest = swap(bundle, ranker, out)
    if manifest.ranker is not None:
        console.print(f"{made}: {manifest.ranker.name} ranks, if asked to", soft_wrap=True)


@app.command("swap-reader")
def swap_reader(
    bundle: BundlePath,
    reader: Annotated[Path, typer.Argument(help="A reader that `lurcher train reader` wrote.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="The bundle to write; default: NAME-READER.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Make a bundle with another reader to answer with; its passages are not encoded again."""
    from lurcher.index_builder.edit.swap_reader import swap_reader as swap

    made, manifest = swap(bundle, reader, out)
    if manifest.reader is not None:
        console.print(f"{made}: {manifest.reader.name} answers", soft_wrap=True)


@app.command()
def adapt(
    bundle: BundlePath,
    queries: Annotated[
        Path | None, typer.Option(help="queries.jsonl: one {_id, text} per line; with --qrels.")
    ] = None,
    qrels: KnownQrels = None,
    clicks: Annotated[
        list[Path] | None,
        typer.Option(help="Clicks: one {query, passage} per line; may be repeated."),
    ] = None,
    from_log: Annotated[
        list[Path] | None, typer.Option(help="A server's feedback log; may be repeated.")
    ] = None,
    dev_queries: Annotated[
        Path | None, typer.Option(help="Queries to choose settings by; with --dev-qrels.")
    ] = None,
    dev_qrels: Annotated[Path | None, typer.Option(help="The judgements of --dev-queries.")] = None,
    keep_unseen: Annotated[
        float,
        typer.Option(
            help="Share of quality that queries about passages without known queries must keep."
        ),
    ] = 0.99,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget the known queries that the bundle has.")
    ] = False,
    skip_unknown: SkipUnknown = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The bundle to write; default: NAME-adapted.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Make a bundle that ranks better by judged queries, clicks or feedback; nothing is trained."""
    from lurcher.index_builder.adapt import adapt as run
    from lurcher.index_builder.adapt import read_sources
    from lurcher.index_builder.neighbours import NeighbourOptions

    judged = read_sources(
        pair("qrels", queries, qrels), clicks or [], from_log or [],
        pair("dev_qrels", dev_queries, dev_qrels), skip_unknown=skip_unknown, bundle=bundle,
    )  # fmt: skip
    with progress() as bar:
        made, manifest = run(
            bundle, judged, NeighbourOptions(keep_unseen, skip_unknown, replace), out, bar
        )
    console.print(f"{made}", soft_wrap=True)
    print_neighbours(manifest)
