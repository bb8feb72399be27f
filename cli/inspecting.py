"""``lurcher inspect`` and ``verify``: show what a bundle contains, check that it is intact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lurcher.cli.console import console, errors, print_json
from lurcher.cli.options import BundlePath
from lurcher.cli.sections import kept, print_coverage, print_neighbours, print_section

if TYPE_CHECKING:
    from lurcher.bundle.manifest import Manifest

app = typer.Typer()


@app.command("inspect")
def inspect_bundle(
    bundle: BundlePath,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest as one JSON object.")
    ] = False,
) -> None:
    """Show a bundle's parts, their sizes, and what was measured when it was built."""
    from lurcher.bundle.manifest import read_manifest

    manifest = read_manifest(bundle)
    document = manifest.model_dump(mode="json", exclude_none=True)
    if as_json:
        print_json(document | {"passages": manifest.passages})
        return
    files = document.pop("files")
    encoder = document.get("encoder", {})
    student = encoder.pop("student", {})
    student.pop("figures", None)
    print_section("", {k: v for k, v in document.items() if not isinstance(v, dict | list)})
    _print_segments(manifest)
    sections = {"encoder": encoder, "student": student, "build": document["build"],
                "figures": document["figures"], "swap": document.get("swap", {})}  # fmt: skip
    for title, values in sections.items():
        print_section(title, {k: v for k, v in values.items() if v not in ("", {}, [])})
    if manifest.student is not None:
        print_section("student against teacher", kept(manifest.student))
    print_coverage(manifest)
    _print_lexical(manifest)
    _print_tokens(manifest)
    if manifest.ranker is not None:
        measured = getattr(manifest.ranker, "figures", {})  # a T5 was not trained here
        figures = {
            f"{measure}, development": f"{before:.4f} to {after:.4f}"
            for measure, (before, after) in measured.items()
        }
        print_section("decoder", {"name": manifest.ranker.name, **figures})
    _print_reading(manifest)
    if manifest.states is not None:
        print_section("states", manifest.states.model_dump(exclude={"ranker"}))
    print_neighbours(manifest)
    total = sum(file["bytes"] for file in files.values())
    per_passage = total / max(1, manifest.passages)
    print_section("bytes", {path: f"{file['bytes']:>15,}" for path, file in files.items()})
    print_section("total", {"bytes": f"{total:,}", "bytes a passage": f"{per_passage:,.0f}"})


def _print_segments(manifest: Manifest) -> None:
    """Print how many passages each segment has, where there are several or passages are deleted."""
    if len(manifest.segments) == 1 and not manifest.segments[0].deletions:
        return
    rows = {
        one.name: f"{one.passages - one.deletions:,} passages"
        + (f", and {one.deletions:,} deleted" if one.deletions else "")
        for one in manifest.segments
    }
    print_section("segments", rows)


def _print_lexical(manifest: Manifest) -> None:
    """Print what the lexical index holds, and its size."""
    lexical = manifest.lexical
    if lexical is None:
        return
    passages = max(1, lexical.passages)
    rows = {
        "language": lexical.language,
        "terms": f"{lexical.terms:,}",
        "postings": f"{lexical.postings:,}, {lexical.postings / passages:,.1f} a passage",
        "average length": f"{lexical.average_length:,.1f} words",
        "k1, b, title weight": f"{lexical.k1}, {lexical.b}, {lexical.title_weight}",
        "bytes": f"{lexical.bytes:,}",
        "bytes a passage": f"{lexical.bytes / passages:,.1f}",
    }
    print_section("lexical", rows)


def _print_tokens(manifest: Manifest) -> None:
    """Print the tokens that ranking reads, and their size: codes, positions, counts and coder."""
    from lurcher.bundle.token_store import CODER

    tokens, encoder = manifest.tokens, manifest.encoder
    if tokens is None or encoder is None:
        return
    dimension = encoder.dimension
    total, passages = tokens.bytes + _coder_bytes(manifest, CODER), max(1, manifest.passages)
    before = max(1, tokens.tokens)
    rows = {
        "bits": f"{tokens.bits}, of {dimension} dimensions",
        "keep ratio": tokens.keep_ratio,
        "tokens": f"{tokens.tokens:,}, {tokens.tokens / passages:,.1f} a passage",
        "codes": f"{tokens.codes:,}, {tokens.codes / passages:,.1f} a passage",
        "bytes": f"{total:,}, with {_coder_bytes(manifest, CODER):,} of the coder",
        "bytes a passage": f"{total / passages:,.1f}; "
        f"{2 * dimension * tokens.tokens / passages:,.1f} as float16 states",
        "bytes a token": f"{total / before:,.2f}; {2 * dimension} as float16 states",
    }
    print_section("tokens", rows)


def _coder_bytes(manifest: Manifest, name: str) -> int:
    """The size of a coder, wherever it lies."""
    from lurcher.bundle.places import place_of

    return manifest.files[place_of(manifest.files, name)].bytes


def _print_reading(manifest: Manifest) -> None:
    """Print what the reader reads, and its size: codes, counts and coder, alone and with the tokens."""
    from lurcher.bundle.bundle import READER
    from lurcher.bundle.reading_store import READING_CODER
    from lurcher.bundle.token_store import CODER

    tokens, reading, reader = manifest.tokens, manifest.reading, manifest.reader
    encoder = manifest.encoder
    if tokens is None or reading is None or encoder is None:
        return
    files, passages, before = manifest.files, max(1, manifest.passages), max(1, tokens.tokens)
    total = reading.bytes + _coder_bytes(manifest, READING_CODER)
    both = total + tokens.bytes + _coder_bytes(manifest, CODER)
    size = sum(entry.bytes for file, entry in files.items() if file.startswith(f"{READER}/"))
    rows = {
        "reader": f"{reader.name}, {size:,} bytes" if reader else "none",
        "calibrated": f"by {reader.calibrated_by}, on {reader.calibrated_on or 'nobody knows what'}"
        if reader
        else "no",
        "bits": f"{reading.bits}, of {encoder.dimension} dimensions",
        "codes": f"{reading.codes:,}, {reading.codes / passages:,.1f} a passage",
        "bytes": f"{total:,}, with {_coder_bytes(manifest, READING_CODER):,} of the coder",
        "bytes a passage": f"{total / passages:,.1f}; {both / passages:,.1f} with the tokens above",
        "bytes a token": f"{total / before:,.2f}; {both / before:,.2f} with the tokens above",
    }
    print_section("answers", rows)


@app.command()
def verify(bundle: BundlePath) -> None:
    """Check every file of a bundle against its hash, and the files against each other."""
    from lurcher.retrieval.trial import problems_of

    problems = problems_of(bundle)
    for problem in problems:
        errors.print(problem, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    console.print(f"{bundle}: sound", soft_wrap=True)
