"""``lurcher add``, ``delete``, ``sync``, ``compact``, ``snapshot`` and ``restore``: bundles that change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lurcher.cli.console import console, progress, warn
from lurcher.cli.options import BundlePath
from lurcher.errors import FieldError

if TYPE_CHECKING:
    from lurcher.index_builder.corpus import ReadOptions
    from lurcher.index_builder.edit.writer import Writer

app = typer.Typer()

CorpusPath = Annotated[
    Path, typer.Argument(metavar="CORPUS", help="A corpus, as `build` takes it.")
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the corpus, as in build.")]
Delimiter = Annotated[str | None, typer.Option(help="What separates cells, as in build.")]
Field = Annotated[
    list[str] | None,
    typer.Option(metavar="OURS=THEIRS", help="What the corpus calls a field, as in build."),
]
Types = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN=TYPE,...", help="Types of columns, as in build.")
]

RankerModel = Annotated[
    Path | None,
    typer.Option(help="Of a bundle that a T5 ranks: the folder that `export-ranker` wrote."),
]

KeepFeedback = Annotated[
    bool,
    typer.Option(
        "--keep-feedback",
        help="Let feedback and known queries count on for passages whose text is another now.",
    ),
]

# Of a command: what it has written goes to the disk together.
_PASSAGES = 20_000


@app.command()
def add(
    bundle: BundlePath, corpus: CorpusPath, encoding: Encoding = None, delimiter: Delimiter = None,
    field: Field = None, types: Types = None, ranker_model: RankerModel = None,
    keep_feedback: KeepFeedback = False,
) -> None:  # fmt: skip
    """Add the documents of a corpus to a bundle, and replace those whose ids it has; others stay."""
    reading = reading_of(encoding, delimiter, field, types)
    _take_in(bundle, corpus, reading, ranker_model, keep_feedback, delete_others=False)


@app.command()
def sync(
    bundle: BundlePath, corpus: CorpusPath, encoding: Encoding = None, delimiter: Delimiter = None,
    field: Field = None, types: Types = None, ranker_model: RankerModel = None,
    keep_feedback: KeepFeedback = False,
) -> None:  # fmt: skip
    """Make a bundle equal to a corpus: add, replace and delete; what has not changed is not encoded."""
    reading = reading_of(encoding, delimiter, field, types)
    _take_in(bundle, corpus, reading, ranker_model, keep_feedback, delete_others=True)


@app.command()
def delete(
    bundle: BundlePath,
    ids: Annotated[
        str | None,
        typer.Option(
            help="Ids of passages or documents, separated by commas; @FILE has one a line."
        ),
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="Conditions on metadata, as JSON, as in search.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Let a filter delete all passages.")
    ] = False,
    ranker_model: RankerModel = None,
) -> None:
    """Delete passages of a bundle, by their ids or by their metadata."""
    from lurcher.index_builder.edit.requests import Delete
    from lurcher.index_builder.edit.sync import commit
    from lurcher.retrieval.filters import parse_filter

    if (ids is None) == (filter is None):
        raise FieldError("ids", "name either --ids or --filter")
    named = () if ids is None else _ids(ids)
    conditions = None if filter is None else parse_filter(filter)
    if conditions == ():
        raise FieldError("filter", "has no condition; it would delete everything")
    with _writing(bundle, ranker_model) as writer:
        receipt = commit(writer, Delete(named, conditions, confirm=confirm, dry_run=dry_run))
    for id_ in receipt.unknown:
        warn(f"no passage or document has the id {id_!r}")
    would = "would be " if dry_run else ""
    console.print(f"{bundle}: {receipt.removed:,} passages {would}deleted", soft_wrap=True)


@app.command()
def compact(
    bundle: BundlePath,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            help="Learn anew what a build learns from its corpus; where tokens are stored, encode all.",
        ),
    ] = False,
) -> None:
    """Make one segment of all; nothing that was deleted is in any file of the bundle then."""
    with progress() as bar, _writing(bundle) as writer:
        if recalibrate:
            writer.recalibrate(bar)
        else:
            writer.compact(everything=True)
        passages = writer.bundle.passages.count
    learnt = ", all learnt anew" if recalibrate else ""
    console.print(f"{bundle}: {passages:,} passages in one segment{learnt}", soft_wrap=True)


@app.command()
def snapshot(
    bundle: BundlePath,
    out: Annotated[
        Path,
        typer.Argument(help="The copy: a folder of hard links, or one file if it ends in .tar."),
    ],
) -> None:
    """Copy a bundle as it is now, also while it is served and written."""
    from lurcher.index_builder.edit.snapshots import snapshot as copy

    manifest = copy(bundle, out)
    console.print(f"{out}: generation {manifest.generation} of {bundle}", soft_wrap=True)


@app.command()
def restore(
    copy: Annotated[Path, typer.Argument(help="A folder or file that `lurcher snapshot` wrote.")],
    out: Annotated[Path, typer.Argument(help="The bundle to write.")],
) -> None:
    """Make a bundle of a copy; every file is checked."""
    from lurcher.index_builder.edit.snapshots import restore as unpack

    manifest = unpack(copy, out)
    console.print(f"{out}: {manifest.passages:,} passages", soft_wrap=True)


def _take_in(
    bundle: Path, corpus: Path, reading: ReadOptions, ranker_model: Path | None, keep_feedback: bool,
    delete_others: bool,
) -> None:  # fmt: skip
    from lurcher.index_builder.corpus import read_corpus
    from lurcher.index_builder.edit.sync import take_in

    records = read_corpus(corpus, reading)
    with progress() as bar, _writing(bundle, ranker_model) as writer:
        done = take_in(writer, records, bar, delete_others, keep_feedback)
    deleted = f", {done.deleted:,} deleted" if delete_others else ""
    console.print(
        f"{bundle}: {done.written:,} documents written, {done.unchanged:,} unchanged{deleted}",
        soft_wrap=True,
    )


@contextmanager
def _writing(bundle: Path, ranker_model: Path | None = None) -> Iterator[Writer]:
    """The writer of ``bundle``; afterwards what was written is on the disk, and compacted if that is due."""
    from lurcher.index_builder.edit.merge_policy import WritePolicy
    from lurcher.index_builder.edit.writer import Writer
    from lurcher.threads import available_cpus

    policy = WritePolicy(_PASSAGES, age=inf)
    writer = Writer.open(bundle, threads=available_cpus(), policy=policy, ranker_model=ranker_model)
    try:
        for line in writer.torn:
            warn(line)
        yield writer
        writer.flush()
        while writer.compact():
            pass
    finally:
        writer.close()


def reading_of(
    encoding: str | None, delimiter: str | None, field: list[str] | None, types: list[str] | None
) -> ReadOptions:
    """How a corpus is read, by the flags of a command. Raises FieldError."""
    from lurcher.index_builder.corpus import FieldNames, ReadOptions
    from lurcher.index_builder.corpus.tables.cell_types import parse_types

    return ReadOptions(encoding, delimiter, FieldNames.parse(field or []), parse_types(types or []))


def _ids(given: str) -> tuple[str, ...]:
    """The ids in ``given``, or in the file that it names. Raises FieldError."""
    if not given.startswith("@"):
        found = given.split(",")
    else:
        try:
            found = Path(given[1:]).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FieldError("ids", f"cannot read {given[1:]}: {error}") from error
    ids = tuple(one for one in found if one.strip())
    if not ids:
        raise FieldError("ids", "names none")
    return ids
