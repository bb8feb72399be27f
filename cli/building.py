"""``lurcher build``."""

from __future__ import annotations

import resource
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lurcher.cli.console import console, print_json, progress, warn
from lurcher.cli.extras import needing
from lurcher.cli.options import EngineOption, KnownQrels, SkipUnknown, pair
from lurcher.cli.sections import print_coverage, print_neighbours
from lurcher.errors import FieldError

if TYPE_CHECKING:
    from lurcher.bundle.manifest import Manifest
    from lurcher.index_builder.options import BuildOptions, LexicalOptions, TokenOptions

app = typer.Typer()


@app.command()
def build(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="A BEIR folder; a JSON, JSONL, CSV, TSV or Parquet file; a text file, or a folder of them."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="The bundle to write; default: the name of CORPUS, in the current folder."
        ),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="An encoder that `lurcher export` wrote; default: the shipped one."),
    ] = None,
    profile: Annotated[
        Literal["fast", "balanced", "sparse", "best"] | None,
        typer.Option(
            help="The query encoder: fast, balanced or sparse, which take less time; or best, the shipped "
            "encoder (default)."
        ),
    ] = None,
    index: Annotated[
        str,
        typer.Option(help="'auto' chooses by size; or a FAISS factory string, such as HNSW32_SQ8."),
    ] = "auto",
    recall: Annotated[
        float,
        typer.Option(help="Share of the first 100 hits of exact search that the index must find."),
    ] = 0.98,
    skip_bad_lines: Annotated[
        bool,
        typer.Option(
            "--skip-bad-lines", help="Write bad records to OUT.skipped.jsonl instead of stopping."
        ),
    ] = False,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the corpus, such as latin1; default: what files declare, else UTF-8."
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            help="What separates cells in CSV or TSV: a character, or 'tab'; default: comma, or tab in TSV."
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=THEIRS",
            help="What the corpus calls a record's id, text or title, such as text=body; can be repeated.",
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=TYPE,...",
            help="Types of columns in CSV or TSV: integer, float, boolean or text; default: as cells are.",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="Judged queries to put into the bundle, as in adapt; with --qrels."),
    ] = None,
    qrels: KnownQrels = None,
    skip_unknown: SkipUnknown = False,
    window: Annotated[
        int | None,
        typer.Option(help="Tokens of text per passage; default: as many as the encoder reads."),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Tokens that neighbouring passages share; default: 10 in 100 of the window."
        ),
    ] = None,
    url_prefix: Annotated[
        str,
        typer.Option(
            help="What comes before a document's id or path in the link to it that hits have."
        ),
    ] = "",
    no_lexical: Annotated[
        bool,
        typer.Option(
            "--no-lexical", help="Leave out the lexical index, which finds passages by their words."
        ),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language whose words are stemmed, such as german; 'none': none. Default: the corpus's, if "
            "it is clear."
        ),
    ] = None,
    no_vectors: Annotated[
        bool,
        typer.Option(
            "--no-vectors",
            help="Leave out the vectors and all that the encoder makes: words alone find passages, and no "
            "encoder runs, in the build or in a server.",
        ),
    ] = False,
    no_tokens: Annotated[
        bool,
        typer.Option(
            "--no-tokens", help="Leave out the 1-bit tokens: smaller, but without ranking."
        ),
    ] = False,
    token_bits: Annotated[
        int | None,
        typer.Option(help="Bits per token, a multiple of 8; default: what suits the encoder."),
    ] = None,
    keep_ratio: Annotated[
        float | None,
        typer.Option(
            help="At most this share of a passage's tokens is kept; the rest are merged into them."
        ),
    ] = None,
    preset: Annotated[
        Literal["auto", "prose", "code"],
        typer.Option(
            help="What scores count beside each other; default: by how much of the corpus is code."
        ),
    ] = "auto",
    ranker: Annotated[
        Path | None,
        typer.Option(
            help="A decoder from `lurcher train ranker`, or a T5 from `lurcher export-ranker`; default: the "
            "encoder's decoder."
        ),
    ] = None,
    states: Annotated[
        Literal["float16", "1-bit"] | None,
        typer.Option(help="How to store a T5's states of passages; default: float16."),
    ] = None,
    answers: Annotated[
        bool | None,
        typer.Option(
            help="Add a reader, and tokens in more detail for it to find answers in; default: "
            "--no-answers."
        ),
    ] = None,
    reader: Annotated[
        Path | None,
        typer.Option(
            help="A reader from `lurcher train reader`; implies --answers. Default: the encoder's."
        ),
    ] = None,
    answer_bits: Annotated[
        int | None,
        typer.Option(
            help="Bits per token for the reader; default: what the reader was trained on."
        ),
    ] = None,
    engine: EngineOption = "auto",
    shards: Annotated[
        int | None,
        typer.Option(
            help="Write a folder of so many bundles and their cluster.json, for `lurcher serve-cluster`."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="With --shards: encode on the Ray cluster at this address; 'local': on one that is "
            "started here. Needs lurcher[ray]."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was built as one JSON object.")
    ] = False,
) -> None:
    """Turn a corpus into a bundle. If it is killed, give the same command again to continue."""
    from lurcher.index_builder.adapt import read_sources
    from lurcher.index_builder.build import BuildOptions, skipped_file
    from lurcher.index_builder.build import build as build_bundle
    from lurcher.index_builder.corpus import FieldNames, ReadOptions, bundle_name
    from lurcher.index_builder.corpus.tables.cell_types import parse_types
    from lurcher.index_builder.neighbours import NeighbourOptions
    from lurcher.models.pretrained import DEFAULT_ENCODER, PROFILES

    if profile and encoder:
        raise FieldError(
            "profile",
            "is for the shipped encoder; with --encoder, use `lurcher swap-encoder` afterwards",
        )
    if ray is not None and shards is None:
        raise FieldError("ray", "is for a build in --shards")
    start = time.monotonic()
    name = bundle_name(corpus)
    target = out or Path(f"{name}.lurcher" if shards is None else f"{name}.cluster")
    judged = pair("qrels", queries, qrels)
    options = BuildOptions(
        encoder or DEFAULT_ENCODER, index, recall, skip_bad_lines, window, overlap,
        student=PROFILES[profile] if profile else None,
        tokens=_token_options(no_tokens, no_vectors, token_bits, keep_ratio), ranker=ranker,
        states=states,
        answers=reader is not None if answers is None else answers, reader=reader,
        answer_bits=answer_bits,
        judged=read_sources(judged, skip_unknown=skip_unknown) if judged else None,
        neighbours=NeighbourOptions(skip_unknown=skip_unknown), url_prefix=url_prefix,
        reading=ReadOptions(encoding, delimiter, FieldNames.parse(field or []), parse_types(types or [])),
        lexical=_lexical_options(no_lexical, language), vectors=not no_vectors, engine=engine,
        preset=preset,
    )  # fmt: skip
    if shards is not None:
        _build_shards(corpus, target, shards, options, ray, as_json=as_json)
        return
    with progress() as bar:
        manifest = build_bundle(corpus, target, options, bar)
    if as_json:
        print_json({"bundle": str(target), **_summary(manifest)})
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(
        f"{target}: {manifest.passages:,} passages in {time.monotonic() - start:,.0f} s, "
        f"at most {peak:,.0f} MiB of memory",
        highlight=False,
    )
    if manifest.figures.skipped_records:
        skipped = (
            f"{manifest.figures.skipped_records:,} bad records set aside in {skipped_file(target)}"
        )
        console.print(skipped, highlight=False)
    if manifest.build.engine is not None:
        told = f"encoded by {manifest.build.engine}: {manifest.build.engine_reason}"
        console.print(told, markup=False, highlight=False)
    share = manifest.figures.code_share
    if share is not None:
        told = (
            f"scores weighed as for {manifest.build.preset}: {share:.0%} of the passages are code"
        )
        console.print(told, highlight=False)
    print_coverage(manifest)
    print_neighbours(manifest)
    found = manifest.figures.recall_at_100
    if found is not None and found < recall:
        warn(
            f"the index finds {found:.3f} of exact search's first 100, "
            f"less than {recall}; another --index may do better"
        )


def _build_shards(
    corpus: Path, out: Path, shards: int, options: BuildOptions, address: str | None, *, as_json: bool
) -> None:  # fmt: skip
    """Write ``corpus`` as so many ``shards`` into ``out``, encoded on Ray if there is an ``address``."""
    from lurcher.cluster.build import build_cluster

    start = time.monotonic()
    with ExitStack() as stack:
        encode = None
        if address is not None:
            with needing("ray"):
                from lurcher.cluster.encoding import RayEncoders
                from lurcher.cluster.on_ray import joined
            stack.enter_context(joined(address))
            encode = RayEncoders().encode
        bar = stack.enter_context(progress())
        cluster = build_cluster(corpus, out, shards, options, bar, encode=encode)
    if as_json:
        held = [one.passages for one in cluster.shards]
        print_json({"cluster": str(out), "passages": cluster.passages, "shards": held})
        return
    console.print(
        f"{out}: {cluster.passages:,} passages in {shards} shards in {time.monotonic() - start:,.0f} s",
        highlight=False,
    )


def _summary(manifest: Manifest) -> dict[str, Any]:
    """What ``--json`` prints of a bundle: its passages, what was measured, and what of the corpus is read."""
    return manifest.model_dump(
        mode="json", include={"passages", "name", "build", "figures", "coverage"}
    ) | {"passages": manifest.passages}


def _lexical_options(none: bool, language: str | None) -> LexicalOptions | None:
    """The options of the lexical index, None to leave it out. Raises FieldError."""
    from lurcher.index_builder.options import LexicalOptions
    from lurcher.models.lexical.languages import parse_language

    if none and language is not None:
        raise FieldError("no_lexical", "leaves nothing to set --language for")
    return None if none else LexicalOptions(None if language is None else parse_language(language))


def _token_options(
    none: bool, no_vectors: bool, bits: int | None, keep_ratio: float | None
) -> TokenOptions | None:
    """The options of the token store, None to leave it out. Raises FieldError."""
    from lurcher.index_builder.options import KEEP_RATIO, TokenOptions

    none = none or no_vectors
    if none and (bits is not None or keep_ratio is not None):
        flag = "no_vectors" if no_vectors else "no_tokens"
        raise FieldError(flag, "leaves nothing to set --token-bits or --keep-ratio for")
    return None if none else TokenOptions(bits, KEEP_RATIO if keep_ratio is None else keep_ratio)
