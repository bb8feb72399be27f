"""A new bundle from one that exists: it shares the files by hard links and appears by one rename."""

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
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.manifest import (
    FORMAT_VERSION,
    Manifest,
    list_files,
    lurcher_version,
    write_manifest,
)
from lurcher.errors import BundleError, FieldError
from lurcher.index_builder.workspace import publish
from lurcher.models.encoders.merge import link_or_copy


def beside(bundle: Path, before: str | None, name: str) -> Path:
    """``BUNDLE-NAME.lurcher`` beside ``BUNDLE.lurcher``, for a new part that is called ``name``.

    The name of the part that it replaces, ``before``, is removed if the bundle's name ends in it.
    """
    stem = bundle.name.removesuffix(".lurcher")
    if before is not None:
        stem = stem.removesuffix(f"-{_label(before)}")
    return bundle.with_name(f"{stem}-{_label(name)}.lurcher")


def _label(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def derive(
    old: Bundle, out: Path, folder: str, write: Callable[[Path], dict[str, Any]],
    fail_point: FailPoint = carry_on,
) -> Manifest:  # fmt: skip
    """The manifest of the new bundle ``out``: ``old`` with another ``folder``.

    ``write`` is called with the unfinished bundle, creates the folder in it, and returns what changes in the
    manifest. Raises FieldError if ``out`` exists, BundleError if the disk fails, and what ``write`` raises;
    ``out`` does not exist then. ``old`` is not changed.
    """
    if os.path.lexists(out):
        raise FieldError("out", f"{out} exists; remove it first, or choose another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            made = (
                Path(work) / "bundle"
            )  # TemporaryDirectory lets nobody else into the one around it
            made.mkdir()
            for part in old.files():
                if part.parts[0] != folder:
                    (made / part).parent.mkdir(parents=True, exist_ok=True)
                    link_or_copy(old.path / part, made / part)
            changes = write(made)
            stamp = {
                "format_version": FORMAT_VERSION,
                "lurcher_version": lurcher_version(),
                "name": out.name.removesuffix(".lurcher"),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": list_files(made),
            }
            manifest = old.manifest.model_copy(update=stamp | changes)
            fail_point("manifest: begun")
            write_manifest(made, manifest)
            publish(made, out, fail_point)
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, most likely
        reason = f"cannot be written: {error}; {old.path} is as it was"
        raise BundleError(out, reason) from error
    return manifest
