"""Whether a bundle is sound: its files are those of the manifest, and each of its models can be asked."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import changed_files, read_manifest
from lurcher.bundle.plain_files import check_plain_files
from lurcher.errors import BundleCorrupt, LurcherError


def verify(path: Path) -> list[str]:
    """Everything that is wrong with the bundle at ``path``, a line each; empty if it is sound.

    Raises BundleError where there is no manifest to verify against.
    """
    manifest = read_manifest(path)
    try:
        check_plain_files(path, manifest)
    except BundleCorrupt as error:
        return [str(error)]
    problems = [f"{file}: {reason}" for file, reason in changed_files(path, manifest.files).items()]
    if problems:
        return problems
    try:
        bundle = Bundle.open(path, check_hashes=False)
        try:
            if bundle.index is not None:
                bundle.index.search(bundle.query_encoder(1).encode(["a trial query"]), 1)
            if (words := bundle.lexical) is not None:
                words.top(words.look_up(words.analyser.query_terms("a trial query")), 1)
            bundle.decoder(1)
            bundle.t5(1)
            bundle.reader(1)
        finally:
            bundle.close()
    except LurcherError as error:
        return [str(error)]
    return []
