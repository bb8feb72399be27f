"""Bundles as a stranger could forge them: files changed, and a manifest that fits."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lurcher.bundle.manifest import MANIFEST, list_files, manifest_text, read_manifest

Change = Callable[[Path], object]


def forged(bundle: Path, made: Path, change: Change) -> Path:
    """A copy of ``bundle`` at ``made`` to which ``change`` was done, with a manifest of its files."""
    shutil.copytree(bundle, made)
    manifest = read_manifest(made)
    change(made)
    files = list_files(made)
    text = manifest_text(manifest.model_copy(update={"files": files}))
    (made / MANIFEST).write_text(text, encoding="utf-8")
    return made


def with_manifest(bundle: Path, made: Path, **changes: Any) -> Path:
    """A copy of ``bundle`` at ``made`` whose manifest says something else, whether it may or not."""
    shutil.copytree(bundle, made)
    stated = json.loads((made / MANIFEST).read_text("utf-8"))
    blank = "0" * 64
    text = json.dumps(stated | changes | {"checksum": blank}, indent=1, ensure_ascii=False)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    head, _, tail = text.rpartition(blank)
    (made / MANIFEST).write_text(f"{head}{checksum}{tail}", encoding="utf-8")
    return made
