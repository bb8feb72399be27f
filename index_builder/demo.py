"""The demonstration bundle: this machine's own Python documentation."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from lurcher.bundle.manifest import FORMAT_VERSION, Manifest, lurcher_version, read_manifest
from lurcher.errors import BundleNotFound
from lurcher.index_builder.build import build
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.python_docs import python_docs


def demo_folder() -> Path:
    """Where the demonstration lives: the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lurcher"


def demo_path(folder: Path) -> Path:
    """The path of the demonstration bundle of this Python and this lurcher in ``folder``.

    Another lurcher may read another format, or ship another encoder.
    """
    lurcher = f"{lurcher_version()}-format-{FORMAT_VERSION}"
    return folder / f"python-{platform.python_version()}-lurcher-{lurcher}.lurcher"


def demo_bundle(
    folder: Path, report: Reporter, library: Path | None = None
) -> tuple[Path, Manifest]:
    """The path and manifest of the demonstration bundle in ``folder``, built if it is not there yet.

    ``library`` holds the modules that are read; default: this Python's own.
    """
    out = demo_path(folder)
    try:
        return out, read_manifest(out)
    except BundleNotFound:
        pass
    folder.mkdir(parents=True, exist_ok=True)
    corpus = out.with_suffix(".jsonl")
    if not corpus.exists():  # a changed file would make a killed build start again
        temporary = corpus.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            for p in python_docs(library):
                fields = {"id": p.id, "title": p.title, "text": p.text, **p.metadata}
                file.write(json.dumps(fields) + "\n")
        temporary.replace(corpus)
    manifest = build(corpus, out, report=report)
    corpus.unlink()
    return out, manifest
