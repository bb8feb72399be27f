"""``cluster.json``: which bundles make one collection, and what they have in common.

::

    FOLDER/
      cluster.json             this; written last
      coordinator.lurcher/     models, coders and frequencies, and no passage: what encodes queries
      shard-000.lurcher/ ...   the same, and the passages of one shard
      shard-000.rows.npy ...   (2, n) int64: where the shard's passages stood in the corpus, ascending; and
                               where the first with nearly the same text stood, -1 where no other has it

Every bundle is named with the hash of its manifest, which has the hashes of all its files. Writes to a
served cluster change the bundles of shards, which are of a later generation then, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lurcher.bundle.attributes import Kind
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.lexical_files import LexicalSettings
from lurcher.bundle.manifest import MANIFEST, Manifest, hash_file, read_manifest
from lurcher.bundle.neighbours import NEIGHBOURS
from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt, BundleError, BundleNotFound, BundleVersionError

CLUSTER = "cluster.json"
COORDINATOR = "coordinator.lurcher"
# 2: the numbers of parts do not count for the shard of an id.
FORMAT = 2


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundleEntry(_Part):
    """A bundle beside ``cluster.json``, and the sha256 of its manifest."""

    path: str
    manifest: str


class ShardEntry(BundleEntry):
    """The bundle of a shard, the file of its rows with its sha256, its passages and bytes.

    It is the bundle's ``generation``, in which all passages are in one ``segment``; writes make later ones.
    """

    generation: int
    segment: str
    rows: str
    rows_hash: str
    passages: int
    bytes: int


class WordsEntry(_Part):
    """How many passages of all shards have each term now: files as ``frequencies`` has them, in a folder."""

    path: str
    terms: int
    term_bytes: int
    files: dict[str, str]  # their sha256, by name


class ClusterFile(_Part):
    """What ``cluster.json`` says.

    frozen    a hash of all that decides what a passage scores, the same in every bundle
    fields    each field of the passages' metadata, with a kind of value and how many passages hold that
    words     where passages were written since the build and words are looked for
    """

    format: int
    lurcher_version: str
    name: str
    created: str
    passages: int
    frozen: str
    fields: list[tuple[str, Kind, int]]
    coordinator: BundleEntry
    shards: list[ShardEntry]
    words: WordsEntry | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Tells this version of the collection from every other; in each message of its shards."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def frozen_parts(manifest: Manifest) -> str:
    """A hash of all in a bundle but its passages and their known queries.

    That is models, coders, frequencies, and what scores weigh.
    """
    words, figures = manifest.lexical, manifest.figures
    parts: dict[str, Any] = {
        "files": {
            name: entry.sha256
            for name, entry in manifest.files.items()
            if not name.startswith(("segments/", f"{NEIGHBOURS}/"))
        },
        "lexical": None if words is None else [
            words.language, words.analyser, words.k1, words.b, words.title_weight,
            words.average_length, words.passages,
        ],
        "weights": [manifest.build.preset, figures.lexical_gain],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def shard_entry(folder: Path, path: str, rows: str) -> ShardEntry:
    """What ``cluster.json`` says of the shard in the bundle ``path``, whose rows are in the file ``rows``."""
    manifest = read_manifest(folder / path)
    (segment,) = manifest.segments
    return ShardEntry(
        path=path, manifest=hash_file(folder / path / MANIFEST).sha256,
        generation=manifest.generation, segment=segment.name, rows=rows,
        rows_hash=hash_file(folder / rows).sha256, passages=segment.passages,
        bytes=sum(one.bytes for one in manifest.files.values()),
    )  # fmt: skip


def write_cluster(folder: Path, cluster: ClusterFile) -> None:
    """Write ``cluster.json`` into ``folder``."""
    text = json.dumps(cluster.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / CLUSTER).write_text(f"{text}\n", encoding="utf-8")


def read_cluster(file: Path) -> ClusterFile:
    """What ``file`` says, which is ``cluster.json`` or the folder that it lies in.

    Raises BundleNotFound, BundleVersionError, BundleCorrupt.
    """
    file = file / CLUSTER if file.is_dir() else file
    folder = file.parent
    if not file.is_file():
        reason = f"no {CLUSTER} here; `lurcher build CORPUS FOLDER --shards N` writes one"
        raise BundleNotFound(file, reason)
    try:
        found: Any = json.loads(file.read_bytes())
    except ValueError as error:
        raise BundleCorrupt(folder, file.name, f"not JSON: {error}") from error
    written_in = found.get("format") if isinstance(found, dict) else None
    if isinstance(written_in, int) and written_in != FORMAT:
        reason = f"{file.name}: format {written_in}; this version reads format {FORMAT}"
        raise BundleVersionError(folder, reason)
    try:
        cluster = ClusterFile.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise BundleCorrupt(folder, file.name, f"{where}: {first['msg']}") from error
    _check(folder, file.name, cluster)
    return cluster


def _check(folder: Path, name: str, cluster: ClusterFile) -> None:
    """Raise BundleCorrupt where ``cluster`` contradicts itself or leads out of ``folder``."""
    if not cluster.shards:
        raise BundleCorrupt(folder, name, "shards: it names none")
    held = sum(shard.passages for shard in cluster.shards)
    if held != cluster.passages:
        reason = f"passages: {cluster.passages}, but its shards have {held} together"
        raise BundleCorrupt(folder, name, reason)
    paths = [cluster.coordinator.path]
    paths += [path for shard in cluster.shards for path in (shard.path, shard.rows)]
    if cluster.words is not None:
        paths += [cluster.words.path, *cluster.words.files]
    for path in paths:
        if Path(path).name != path or path in ("", ".", ".."):
            raise BundleCorrupt(folder, name, f"{path!r} is no name of something beside it")
    if len(set(paths)) < len(paths):
        raise BundleCorrupt(folder, name, "shards: one bundle is named twice")


def check_bundles(folder: Path, cluster: ClusterFile) -> None:
    """Raise BundleError unless all bundles are here and belong together; no passage is read."""
    for entry in _bundles(cluster):
        check_bundle(folder, cluster, entry)


def _bundles(cluster: ClusterFile) -> Iterator[BundleEntry]:
    yield cluster.coordinator
    yield from cluster.shards


def check_bundle(folder: Path, cluster: ClusterFile, entry: BundleEntry) -> None:
    """Raise BundleError unless the bundle of ``entry`` is here and fits the others.

    A shard may be of a later generation than ``entry`` names: then it was written to.
    """
    path = folder / entry.path
    if not (path / MANIFEST).is_file():
        reason = (
            f"named in {CLUSTER}, but not on this machine; copy it to this path, or build again"
        )
        raise BundleNotFound(path, reason)
    manifest = read_manifest(path)
    written = (
        isinstance(entry, ShardEntry)
        and manifest.generation > entry.generation
        and manifest.created == cluster.created
    )
    if not written and hash_file(path / MANIFEST).sha256 != entry.manifest:
        reason = f"not the bundle that {CLUSTER} names: its manifest has another hash"
        raise BundleError(path, reason)
    if frozen_parts(manifest) != cluster.frozen:
        reason = (
            "has other models, coders or frequencies than the other shards: scores would differ"
        )
        raise BundleError(path, reason)


def read_words(folder: Path, cluster: ClusterFile, settings: LexicalSettings) -> Frequencies | None:
    """How many passages of all shards have each term; None: as many as when they were built.

    ``settings`` are those of any of the bundles. Raises BundleCorrupt.
    """
    words = cluster.words
    if words is None:
        return None
    for name, expected in words.files.items():
        file = folder / words.path / name
        if not file.is_file() or hash_file(file).sha256 != expected:
            reason = "missing" if not file.is_file() else "does not match its hash"
            raise BundleCorrupt(folder, f"{words.path}/{name}", reason)
    sizes = {"terms": words.terms, "term_bytes": words.term_bytes, "passages": cluster.passages}
    return Frequencies.open(folder, words.path, settings.model_copy(update=sizes))


def write_rows(file: Path, rows: Rows, firsts: Rows) -> None:
    """Write ``rows`` (n,) and ``firsts`` (n,) of a shard as ``file``."""
    np.save(file, np.stack([rows, firsts]))


def read_rows(folder: Path, entry: ShardEntry) -> tuple[Rows, Rows]:
    """The rows (n,) that the passages of a shard have in the whole corpus, and the firsts (n,) of ``copies``.

    Raises BundleCorrupt.
    """
    file = folder / entry.rows
    if not file.is_file() or hash_file(file).sha256 != entry.rows_hash:
        reason = "missing" if not file.is_file() else "does not match its hash"
        raise BundleCorrupt(folder, entry.rows, reason)
    found: Rows = np.load(file, allow_pickle=False)
    if found.shape != (2, entry.passages):
        raise BundleCorrupt(
            folder, entry.rows, f"{found.shape} rows, expected {(2, entry.passages)}"
        )
    rows, firsts = found
    return rows, firsts
