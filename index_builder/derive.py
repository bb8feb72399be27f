"""A bundle made of one that is there: it shares the other's files by hard links and appears by one rename."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest, list_files, lurcher_version, write_manifest
from lurcher.index_builder.workspace import publish
from lurcher.models.encoders.merge import link_or_copy
from lurcher.models.errors import BundleError, FieldError


def beside(bundle: Path, before: str | None, name: str) -> Path:
    """``BUNDLE-NAME.lurcher`` beside ``BUNDLE.lurcher``, for what is called ``name``.

    What was put in its place ``before``, and named the bundle then, is left out of the name.
    """
    stem = bundle.name.removesuffix(".lurcher")
    if before is not None:
        stem = stem.removesuffix(f"-{_label(before)}")
    return bundle.with_name(f"{stem}-{_label(name)}.lurcher")


def _label(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def derive(
    old: Bundle, out: Path, folder: str, write: Callable[[Path], dict[str, Any]]
) -> Manifest:
    """The manifest of the new bundle ``out``: ``old`` with another ``folder``.

    ``write`` is given the unfinished bundle, makes the folder in it, and says what changes in the
    manifest. Raises FieldError where ``out`` exists, BundleError where the disk gives up, and whatever
    ``write`` does: then there is no ``out``. ``old`` stays as it is.
    """
    if os.path.lexists(out):
        raise FieldError("out", f"{out} exists; remove it first, or choose another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            made = Path(work) / "bundle"  # the folder around it is for our eyes only
            made.mkdir()
            for part in old.files():
                if part.parts[0] != folder:
                    (made / part).parent.mkdir(parents=True, exist_ok=True)
                    link_or_copy(old.path / part, made / part)
            changes = write(made)
            stamp = {
                "lurcher_version": lurcher_version(),
                "name": out.name.removesuffix(".lurcher"),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": list_files(made),
            }
            manifest = old.manifest.model_copy(update=stamp | changes)
            write_manifest(made, manifest)
            publish(made, out)
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, most likely
        reason = f"cannot be written: {error}; {old.path} is as it was"
        raise BundleError(out, reason) from error
    return manifest
