"""The manifest of a bundle: ``manifest.json``, the bundle's current generation.

It lists the segments, what is deleted of each, and every other file with its size and sha256. It protects its
own bytes by a checksum over them (computed with the checksum's digits set to zero). A change of one byte
anywhere in a bundle is therefore found, and the file is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lurcher.bundle.lexical_files import LexicalSettings
from lurcher.bundle.neighbours import NeighbourSettings
from lurcher.bundle.reading_store import ReadingSettings
from lurcher.bundle.state_store import StateSettings
from lurcher.bundle.token_store import TokenSettings
from lurcher.errors import BundleCorrupt, BundleNotFound, BundleVersionError
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.student import StudentConfig
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.ranker.presets import PresetName
from lurcher.models.ranker.seq2seq import RankerConfig
from lurcher.models.reader.reader import ReaderConfig

# Format 3 says of passages which document they are a part of; in one of format 2 each is a document. Format 4
# may have a lexical index, and may be without vectors then. Format 5 may have several segments, and deleted
# passages in them.
FORMAT_VERSION = 5
READABLE = frozenset({2, 3, 4, FORMAT_VERSION})
MANIFEST = "manifest.json"

# Parts of a manifest that an encoder or its vectors are behind.
_OF_ENCODER = ("swap", "tokens", "ranker", "states", "reading", "reader", "neighbours")
_NO_CHECKSUM = "0" * 64
_CHECKSUM = re.compile(rb'"checksum": "([0-9a-f]{64})"')

# A segment is listed in some 3 kB.
_MOST_BYTES = 64 << 20

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Part):
    """Size in bytes and content hash of one file."""

    bytes: Count
    sha256: str


class Stores(_Part):
    """What a segment's stores hold; those of a whole bundle have the sums."""

    lexical: LexicalSettings | None = None
    tokens: TokenSettings | None = None
    states: StateSettings | None = None
    reading: ReadingSettings | None = None


class SegmentEntry(_Part):
    """A run of passages with its own files, below ``segments/<name>/``."""

    name: str
    passages: Count  # with those that are deleted
    # None: those of the bundle, which has no other segment.
    stores: Stores | None = None
    deleted: str | None = None  # the file that says which are deleted; None: none is
    deletions: Count = 0

    @property
    def folder(self) -> str:
        """The segment's folder in the bundle."""
        return f"segments/{self.name}"


class SplitSettings(_Part):
    """How documents become passages, for those that are added later."""

    tokenizer: str  # fingerprint of the encoder by whose tokens they are cut
    window: int | None  # tokens of text a passage; None: what the encoder reads
    overlap: int  # tokens that neighbours share at most
    url_prefix: str  # of links to documents; "" for none


class BuildSettings(_Part):
    """What the build was asked for, with the defaults filled in."""

    corpus: str
    index: str  # a FAISS factory string; "none" without vectors
    recall_target: float
    seed: int
    engine: str | None = None  # that encoded the passages; None without vectors
    engine_reason: str | None = None
    split: SplitSettings | None = None  # None in formats up to 4
    preset: PresetName = "prose"  # what scores count beside each other
    # What the build chose by the corpus: "index", "language", "preset"; None where that was not noted.
    chosen: list[str] | None = None


class Figures(_Part):
    """What the build measured on what it wrote; a swap changes the search effort and the lexical gain."""

    empty_passages: Count  # neither title nor text: kept, but nothing finds them
    truncated_passages: Count  # longer than the encoder reads; found by their beginning
    skipped_records: Count  # bad ones, under --skip-bad-lines
    search_effort: Annotated[int, Field(ge=1)] | None  # efSearch or nprobe; None for an exact index
    recall_at_100: (
        float | None
    )  # of the index at that effort, against exact search; None without vectors
    recall_queries: Count  # how many sampled queries that was measured on
    # How much better words find the passages' own phrases than vectors do, in MRR@100.
    lexical_gain: float | None = None
    # The share of passages that are code, by which `auto` chooses a preset; None without vectors.
    code_share: float | None = None


class Coverage(_Part):
    """How much of the corpus is searched."""

    documents: Count
    split_documents: Count  # of more than one passage
    characters: Count  # of the documents' texts, without white space
    characters_read: Count  # of these, in a passage that the encoder reads to its end
    passages_by_kind: dict[str, Count]  # by how the file's name ends
    files_left_out: dict[str, Count]  # of a folder, by how their names end; blank ones, too
    unfamiliar_passages: Count  # of more than a third of tokens that the encoder does not know

    @property
    def share_read(self) -> float:
        """The share of characters that are read; 1 if there are none."""
        return self.characters_read / self.characters if self.characters else 1.0


class Swap(_Part):
    """What was measured when another query encoder was put into the bundle.

    Recall@100 on as many queries as the build took, against exact search of the vectors as the index
    stores them: those that were encoded are gone.
    """

    built_effort: int | None  # the search effort that the build chose for its own query encoder
    built_recall: float  # with that one, at that effort
    recall: float  # with this one, at figures.search_effort


class Manifest(_Part):
    """The whole manifest; see the module for what guards it."""

    format_version: int
    lurcher_version: str
    name: str
    created: str  # ISO 8601, UTC
    generation: Annotated[int, Field(ge=1)] = 1  # each change of a bundle publishes the next
    sequence: Count = 0  # of the last write that it has; later ones are in the log
    encoder: EncoderConfig | None  # None without vectors
    build: BuildSettings
    figures: Figures
    coverage: Coverage | None = None  # None in format 2
    swap: Swap | None = None
    lexical: LexicalSettings | None = None
    tokens: TokenSettings | None = None
    ranker: DecoderConfig | RankerConfig | None = None
    states: StateSettings | None = None
    reading: ReadingSettings | None = None
    reader: ReaderConfig | None = None
    neighbours: NeighbourSettings | None = None
    segments: list[SegmentEntry]
    files: dict[str, FileEntry]
    checksum: str = _NO_CHECKSUM

    @property
    def passages(self) -> int:
        """How many passages the bundle holds."""
        return sum(segment.passages - segment.deletions for segment in self.segments)

    def stores_of(self, segment: SegmentEntry) -> Stores:
        """What the stores of a segment hold."""
        if segment.stores is not None:
            return segment.stores
        return Stores(
            lexical=self.lexical, tokens=self.tokens, states=self.states, reading=self.reading
        )

    def files_of(self, segment: SegmentEntry) -> dict[str, FileEntry]:
        """The files of a segment but that which says what is deleted of it."""
        own = f"{segment.folder}/"
        return {
            name: entry
            for name, entry in self.files.items()
            if name.startswith(own) and name != segment.deleted
        }

    @property
    def models(self) -> dict[str, FileEntry]:
        """The files of the models that queries are answered with."""
        folders = ("encoder/", "ranker/", "reader/")
        return {name: entry for name, entry in self.files.items() if name.startswith(folders)}

    @property
    def encoder_name(self) -> str:
        """What the encoder is called; "" without vectors."""
        return "" if self.encoder is None else self.encoder.name

    @property
    def student(self) -> StudentConfig | None:
        """The student that reads the queries, if one does."""
        return None if self.encoder is None else self.encoder.student

    @property
    def corpus_hash(self) -> str:
        """``sha256:`` and a hash of all passages, the same in every bundle that shares their files."""
        hashes = sorted(
            entry.sha256 for path, entry in self.files.items() if path.endswith("/passages.db")
        )
        return f"sha256:{hashlib.sha256(' '.join(hashes).encode()).hexdigest()}"


def lurcher_version() -> str:
    """The version of this installation."""
    return version("lurcher")


def hash_file(path: Path) -> FileEntry:
    """Size and sha256 of the file at ``path``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(bytes=path.stat().st_size, sha256=digest)


def list_files(root: Path) -> dict[str, FileEntry]:
    """Every file below ``root`` but the manifest, by its path with forward slashes."""
    paths = [p for p in sorted(root.rglob("*")) if p.is_file() and p != root / MANIFEST]
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter lock
        entries = pool.map(hash_file, paths)
        return {p.relative_to(root).as_posix(): e for p, e in zip(paths, entries, strict=True)}


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into the bundle at ``root``, which nobody has opened."""
    (root / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")


def manifest_text(manifest: Manifest) -> str:
    """What the file has of ``manifest``, with its checksum."""
    blank = manifest.model_copy(update={"checksum": _NO_CHECKSUM})
    text = json.dumps(blank.model_dump(mode="json"), indent=1, ensure_ascii=False)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    head, _, tail = text.rpartition(_NO_CHECKSUM)
    return f"{head}{checksum}{tail}"


def _why_none(root: Path) -> str:
    """Why there is no bundle at ``root``, and how to make one."""
    if root.is_dir():
        what = f"no {MANIFEST} in it, so it is not a bundle"
    elif root.exists():
        what = "is a file, not a bundle"
    else:
        return f"no such folder; make one with `lurcher build CORPUS {root}`"
    return f"{what}; if it is a corpus, build it with `lurcher build {root}`"


def read_manifest(root: Path) -> Manifest:
    """The manifest of the bundle at ``root``.

    Raises BundleNotFound, BundleVersionError if another version of the format wrote it, or BundleCorrupt.
    """
    file = root / MANIFEST
    if not file.is_file():
        raise BundleNotFound(root, _why_none(root))
    if (size := file.stat().st_size) > _MOST_BYTES:
        raise BundleCorrupt(root, MANIFEST, f"{size} bytes, at most {_MOST_BYTES} are read")
    raw = file.read_bytes()
    try:
        found: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(root, MANIFEST, f"not JSON: {error}") from error
    written_in = found.get("format_version") if isinstance(found, dict) else None
    if isinstance(written_in, int) and written_in not in READABLE:
        by = found.get("lurcher_version", "another version")
        upgrade = "upgrade lurcher, or " if written_in > FORMAT_VERSION else ""
        *others, last = sorted(READABLE)
        raise BundleVersionError(
            root,
            f"{MANIFEST}: format {written_in}, written by lurcher {by}; this version reads formats "
            f"{', '.join(map(str, others))} and {last}: {upgrade}build the bundle again",
        )
    stated = _CHECKSUM.search(raw)
    blank = _CHECKSUM.sub(b'"checksum": "%b"' % _NO_CHECKSUM.encode(), raw)
    if stated is None or hashlib.sha256(blank).hexdigest().encode() != stated[1]:
        raise BundleCorrupt(root, MANIFEST, "its checksum does not match its content")
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleCorrupt(root, MANIFEST, f"{where}: {first['msg']}") from error


def check_parts(root: Path, manifest: Manifest) -> None:
    """Raise BundleCorrupt if nothing could be found in it, or parts are there without what they need."""
    _check_segments(root, manifest)
    if manifest.encoder is not None:
        return
    if manifest.lexical is None:
        reason = "it has neither an encoder nor a lexical index, so that nothing could be found"
        raise BundleCorrupt(root, MANIFEST, reason)
    for part in _OF_ENCODER:
        if getattr(manifest, part) is not None:
            raise BundleCorrupt(root, MANIFEST, f"it has {part!r}, but no encoder")


def _check_segments(root: Path, manifest: Manifest) -> None:
    """Raise BundleCorrupt if there is no segment, or one has other stores than the bundle."""
    if not manifest.segments:
        raise BundleCorrupt(root, MANIFEST, "it has no segment")
    for segment in manifest.segments:
        stores = manifest.stores_of(segment)
        if segment.stores is None and len(manifest.segments) > 1:
            raise BundleCorrupt(root, MANIFEST, f"it does not say what {segment.folder} holds")
        for name in Stores.model_fields:
            if (getattr(stores, name) is None) != (getattr(manifest, name) is None):
                other = "a bundle without" if getattr(manifest, name) is None else "one with"
                reason = f"the {name!r} of {segment.folder} do not fit {other} them"
                raise BundleCorrupt(root, MANIFEST, reason)


def changed_files(root: Path, files: Mapping[str, FileEntry]) -> dict[str, str]:
    """What is wrong with each of ``files`` that is not as a manifest says, by its path."""

    def reason(path: str) -> str | None:
        file, entry = root / path, files[path]
        if not file.is_file():
            return "missing"
        size = file.stat().st_size
        if size != entry.bytes:
            return f"{size} bytes, expected {entry.bytes}"
        return None if hash_file(file) == entry else "its content has changed (sha256 differs)"

    with ThreadPoolExecutor() as pool:
        reasons = zip(files, pool.map(reason, files), strict=True)
        return {path: why for path, why in reasons if why is not None}
