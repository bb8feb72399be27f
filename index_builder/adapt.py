"""Known queries for a bundle that is there: a new bundle, in which no passage is encoded anew.

Everything but ``neighbours/`` and the manifest is shared with the old bundle by hard links.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.neighbours import NEIGHBOURS
from lurcher.errors import FieldError
from lurcher.index_builder.edit.derive import derive
from lurcher.index_builder.judged.clicks import read_clicks
from lurcher.index_builder.judged.from_log import known_from_log, log_prefix
from lurcher.index_builder.judged.known import Known, merge
from lurcher.index_builder.judged.qrels import read_judged
from lurcher.index_builder.neighbours import Judged, NeighbourOptions, add_neighbours
from lurcher.index_builder.progress import Reporter, Silent


def read_sources(
    qrels: tuple[Path, Path] | None = None, clicks: Sequence[Path] = (), logs: Sequence[Path] = (),
    development: tuple[Path, Path] | None = None, *, skip_unknown: bool = False,
    bundle: Path | None = None,
) -> Judged:  # fmt: skip
    """What files of judgements say: pairs of queries and qrels, clicks, feedback logs.

    Of logs, what was judged of a text that passages of ``bundle`` have no more is left out. Raises
    FieldError where there is none; CorpusError, FeedbackCorrupt or OSError for one that cannot be read.
    """
    if qrels is None and not clicks and not logs:
        raise FieldError("qrels", "nothing to learn from: pass qrels, clicks or a feedback log")
    groups = [] if qrels is None else [read_judged(*qrels, skip_unknown)]
    if clicks:
        groups.append(read_clicks(clicks))
    folded = {}
    with ExitStack() as stack:
        opened = None
        if bundle is not None and logs:
            opened = stack.enter_context(closing(Bundle.open(bundle, check_hashes=False)))
        for file in logs:
            known, log, last = known_from_log(file, opened)
            groups.append(known)
            folded[log] = last
    tune_on = [] if development is None else read_judged(*development, skip_unknown)
    return Judged(merge(*groups), tune_on, folded)


def adapt(
    bundle: Path, judged: Judged, options: NeighbourOptions, out: Path | None = None,
    report: Reporter | None = None, *, fail_point: FailPoint = carry_on,
) -> tuple[Path, Manifest]:  # fmt: skip
    """The new bundle and its manifest: ``bundle`` with the known queries of ``judged``.

    They are added to those that the bundle has; one with the same id replaces it. ``out`` None is
    ``NAME-adapted.lurcher`` beside it. The old bundle stays as it is.

    Raises FieldError for judgements that do not fit the bundle, or where ``out`` exists; BundleError
    where the disk gives up: then there is no ``out``. BundleError, ModelError for what cannot be read.
    """
    with closing(Bundle.open(bundle)) as old:
        out = out or _beside(bundle.resolve())

        def write(made: Path) -> dict[str, Any]:
            return _write(old, judged, options, made, report or Silent())

        return out, derive(old, out, NEIGHBOURS, write, fail_point)


def _beside(bundle: Path) -> Path:
    name = bundle.name.removesuffix(".lurcher").removesuffix("-adapted")
    return bundle.with_name(f"{name}-adapted.lurcher")


def _write(
    old: Bundle, judged: Judged, options: NeighbourOptions, made: Path, report: Reporter
) -> dict[str, Any]:
    """Write ``neighbours/`` below ``made``; what changes in the manifest."""
    had = None if options.replace else old.manifest.neighbours
    prefixes = tuple(f"{log_prefix(log)}:" for log in judged.logs)
    # What came from a log is in it, or was taken back.
    before = [] if had is None else [q for q in _known_of(old) if not q.id.startswith(prefixes)]
    known = merge(before, judged.known)
    logs = {**(had.logs if had else {}), **judged.logs}
    everything = Judged(known, judged.development, logs)
    return {"neighbours": add_neighbours(old, everything, options, made, report)}


def _known_of(bundle: Bundle) -> list[Known]:
    """The known queries that ``bundle`` has."""
    neighbours = bundle.neighbours
    assert neighbours is not None  # noqa: S101 (its manifest says so)
    texts = neighbours.texts.get(range(neighbours.texts.count))
    rows = neighbours.rows.tolist()
    ids = dict(zip(rows, (p.id for p in bundle.passages.get(rows)), strict=True))
    labels = neighbours.labels
    return [
        Known(
            query.id,
            query.text,
            {ids[row]: float(weight) for row, weight in zip(*own, strict=True)},
            str(query.metadata["source"]),
        )
        for number, query in enumerate(texts)
        for part in [slice(*labels.indptr[number : number + 2])]
        if part.start < part.stop  # else all passages that answered it are deleted
        for own in [(labels.rows[part].tolist(), labels.weights[part].tolist())]
    ]
