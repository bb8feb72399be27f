"""Whether a bundle can be searched: what ``bundle.verifying`` finds wrong, and a trial of every part."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.chunks import chunks
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, LurcherError
from lurcher.retrieval.snapshot import Snapshot


def problems_of(path: Path) -> list[str]:
    """Everything that is wrong with the bundle at ``path``, a line each; empty if it is sound.

    Raises BundleError where there is no manifest to verify against.
    """
    problems = verify(path)
    if problems:
        return problems
    try:
        bundle = Bundle.open(path, check_hashes=False)
        try:
            _read_all(bundle)
            Snapshot(bundle, threads=1).warm_up()
        finally:
            bundle.close()
    except LurcherError as error:
        return [str(error)]
    # Whatever else goes wrong would go wrong in a search as well.
    except Exception as error:
        return [f"{path}: a trial search failed: {type(error).__name__}: {error}"]
    return []


def _read_all(bundle: Bundle) -> None:
    """Read every passage, and the row of every posting. Raises BundleCorrupt, or what a bad row raises."""
    for segment in bundle.segments:
        for rows in chunks(segment.count):
            segment.passages.get(range(rows.start, min(rows.stop, segment.count)))
        if segment.lexical is not None:
            found = segment.lexical.entries.columns[0]
            if len(found) and (last := int(found.max())) >= segment.count:
                reason = f"names passage {last} of {segment.count}"
                raise BundleCorrupt(bundle.path, segment.lexical.rows_file, reason)
