"""``lurcher compare``: two targets side by side, query by query."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lurcher.cli.console import console, warn
from lurcher.cli.evaluating import shown_p
from lurcher.cli.extras import needing

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from lurcher.evaluation.compare import Changed, Compared, ShownHit

app = typer.Typer()

_TITLE = 60


@app.command()
def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A bundle, URL or run, with settings if you like: docs.lurcher,rank=off",
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(metavar="B", help="Another, or settings alone for another way to search A."),
    ],
    queries: Annotated[
        Path | None, typer.Option(help="queries.jsonl; two runs can do without.")
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="Judgements; without them, the queries whose hits differ most are shown."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many queries.")
    ] = None,
    show: Annotated[
        int, typer.Option(min=1, help="How many queries to show that got better, and worse.")
    ] = 10,
    html: Annotated[Path | None, typer.Option(help="Also write a page with all that.")] = None,
) -> None:
    """Show which queries B answers better than A, and which worse, with the hits of both."""
    with needing("eval"):
        from lurcher.evaluation.compare import compare as run
        from lurcher.evaluation.targets import open_target, target_of
    from lurcher.evaluation.files import check_writable
    from lurcher.evaluation.judgements import read_qrels, read_queries

    if html is not None:
        check_writable(html)
    a = target_of(first)
    b = target_of(second, a)
    texts = None if queries is None else read_queries(queries)
    judged = None if qrels is None else read_qrels(qrels)
    named = {id_ for grades in (judged or {}).values() for id_ in grades}
    with ExitStack() as opened:
        targets = (
            opened.enter_context(open_target(a, named)),
            opened.enter_context(open_target(b, named)),
        )
        found = run(targets, texts, judged, show, limit)
    for warning in found.warnings:
        warn(warning)
    _print(found)
    if html is not None:
        found.write_html(html)


def _print(found: Compared) -> None:
    names = f"{found.names[0]} and {found.names[1]}"
    console.print(f"{names}, {found.queries:,} queries", soft_wrap=True)
    for name, (mine, theirs, change) in found.figures.items():
        console.print(
            f"  {name:<11} {mine.mean:.4f} to {theirs.mean:.4f}: {change.mean:+.4f}  "
            f"[{change.low:+.4f}, {change.high:+.4f}]  "
            f"p {shown_p(change.p)}, corrected {shown_p(change.p_corrected)}",
            soft_wrap=True,
        )
    for title, queries in (
        ("better", found.better), ("worse", found.worse), ("most different", found.different),
    ):  # fmt: skip
        for one in queries:
            console.print(f"\n{title}: {_line(one)}", style="bold", soft_wrap=True)
            console.print(_side_by_side(one, found.names))
    if not (found.better or found.worse or found.different):
        console.print("no query changed")


def _line(one: Changed) -> str:
    if one.values is None:
        change = f"average overlap {one.change:.2f}"
    else:
        change = f"{one.values[0]:.3f} to {one.values[1]:.3f}"
    return f"{one.text or one.id}  ({change})"


def _side_by_side(one: Changed, names: tuple[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from lurcher.printable import printable

    table = Table(box=None, pad_edge=False, expand=True)
    for name in names:
        table.add_column(Text(printable(name)), ratio=1, overflow="fold")
    for place in range(max(map(len, one.hits))):
        table.add_row(*(_cell(hits[place : place + 1]) for hits in one.hits))
    return table


def _cell(hits: list[ShownHit]) -> Text | str:
    from rich.text import Text

    from lurcher.printable import printable

    if not hits:
        return ""
    hit = hits[0]
    title = hit.shown.title if hit.shown is not None else ""
    judged = (hit.grade or 0) > 0
    cell = Text.assemble((f"{hit.place:>2} ", "dim"), ("* " if judged else "  ", "green bold"))
    if title:
        cell.append(f"{printable(title)[:_TITLE]} ", "green" if judged else "")
    cell.append(printable(hit.id), "dim" if title else "")
    if hit.elsewhere != hit.place:
        cell.append(f" (other: {hit.elsewhere or 'none'})", "dim")
    return cell
