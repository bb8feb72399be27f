"""``lurcher``: one thin function a verb. What a verb needs is imported when it runs."""

from __future__ import annotations

import inspect
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from models.errors import FieldError, LurcherError

if TYPE_CHECKING:
    from bundle.manifest import Manifest
    from index_builder.progress import Reporter
    from index_builder.tokens import TokenOptions
    from models.encoders.student import StudentConfig

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A retrieval server for machines without a GPU.",
)

training = typer.Typer(no_args_is_help=True, help="Train what ranks, on queries of your own.")
app.add_typer(training, name="train")

_console = Console()
_errors = Console(stderr=True)

BundlePath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A folder that `lurcher build` wrote.")
]


RankOption = Annotated[
    Literal["auto", "off", "maxsim", "decoder"],
    typer.Option(
        help="How the best are put into a new order; auto: maxsim, where there are tokens."
    ),
]


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except LurcherError as error:
        _fail(str(error))
    except OSError as error:  # a disk that is full, a file that may not be written
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> None:
    _errors.print("[bold red]error[/] ", end="")
    _errors.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)


@app.command()
def build(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="A BEIR folder, a JSONL, CSV, TSV or Parquet file, or a folder of text, Markdown or HTML."
        ),
    ],
    out: Annotated[
        Path | None, typer.Argument(help="The bundle to write; default: CORPUS's name, here.")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="An encoder that `lurcher export` wrote; default: the shipped one."),
    ] = None,
    profile: Annotated[
        Literal["fast", "balanced", "best"] | None,
        typer.Option(
            help="What reads queries: a student of the shipped encoder, or (best) itself, the default."
        ),
    ] = None,
    index: Annotated[
        str,
        typer.Option(help="'auto' picks by size; or a FAISS factory string, such as HNSW32_SQ8."),
    ] = "auto",
    recall: Annotated[
        float, typer.Option(help="Share of exact search's first 100 that the index must find.")
    ] = 0.98,
    skip_bad_lines: Annotated[
        bool, typer.Option("--skip-bad-lines", help="Set bad records aside in OUT.skipped.jsonl.")
    ] = False,
    queries: Annotated[
        Path | None, typer.Option(help="Queries with known answers, as in adapt; with --qrels.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="What answers them: query id, passage id, weight, by tabs.")
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
    ] = False,
    window: Annotated[int, typer.Option(help="Words a passage, for a folder of texts.")] = 200,
    overlap: Annotated[int, typer.Option(help="Words that neighbouring passages share.")] = 40,
    no_tokens: Annotated[
        bool, typer.Option("--no-tokens", help="Leave out the tokens, and with them ranking.")
    ] = False,
    token_bits: Annotated[
        int | None,
        typer.Option(help="Bits a token, a multiple of 8; default: what is good for the encoder."),
    ] = None,
    token_share: Annotated[
        float | None,
        typer.Option(help="Share of a passage's tokens that is left when like ones are merged."),
    ] = None,
    ranker: Annotated[
        Path | None,
        typer.Option(
            help="A decoder that `lurcher train ranker` wrote, or a T5 that `lurcher export-ranker` did; "
            "default: the encoder's decoder."
        ),
    ] = None,
    states: Annotated[
        Literal["float16", "1-bit"] | None,
        typer.Option(help="How a T5's states of passages are kept; default: float16."),
    ] = None,
    answers: Annotated[
        bool | None,
        typer.Option(
            help="Keep the tokens in more detail, too, and a reader that finds answers in them; "
            "default: --no-answers."
        ),
    ] = None,
    reader: Annotated[
        Path | None,
        typer.Option(
            help="A reader that `lurcher train reader` wrote, with --answers; default: the encoder's."
        ),
    ] = None,
    answer_bits: Annotated[
        int | None,
        typer.Option(
            help="Bits a token that answers are found in; default: what the reader was trained on."
        ),
    ] = None,
) -> None:
    """Turn a corpus into a bundle; called again after a kill, go on where it was."""
    from index_builder.adapt import read_sources
    from index_builder.build import BuildOptions, skipped_file
    from index_builder.build import build as build_bundle
    from index_builder.neighbours import NeighbourOptions
    from models.pretrained import DEFAULT_ENCODER, PROFILES

    if profile and encoder:
        raise FieldError(
            "profile", "is for the shipped encoder; with --encoder, swap its student in afterwards"
        )
    start = time.monotonic()
    name = corpus.resolve().name
    target = out or Path(f"{name.split('.')[0] if corpus.is_file() else name}.lurcher")
    judged = _pair("qrels", queries, qrels)
    options = BuildOptions(
        encoder or DEFAULT_ENCODER, index, recall, skip_bad_lines, window, overlap,
        student=PROFILES[profile] if profile else None,
        tokens=_token_options(no_tokens, token_bits, token_share), ranker=ranker,
        states=states,
        answers=reader is not None if answers is None else answers, reader=reader,
        answer_bits=answer_bits,
        judged=read_sources(judged, skip_unknown=skip_unknown) if judged else None,
        neighbours=NeighbourOptions(skip_unknown=skip_unknown),
    )  # fmt: skip
    with _progress() as bar:
        manifest = build_bundle(corpus, target, options, bar)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _console.print(
        f"{target}: {manifest.passages:,} passages in {time.monotonic() - start:,.0f} s, "
        f"at most {peak:,.0f} MiB of memory",
        highlight=False,
    )
    if manifest.figures.skipped_records:
        skipped = (
            f"{manifest.figures.skipped_records:,} bad records set aside in {skipped_file(target)}"
        )
        _console.print(skipped, highlight=False)
    _print_neighbours(manifest)
    if manifest.figures.recall_at_100 < recall:
        _errors.print(
            f"warning: the index finds {manifest.figures.recall_at_100:.3f} of exact search's first 100, "
            f"less than {recall}; another --index may do better",
            highlight=False,
        )


def _token_options(none: bool, bits: int | None, share: float | None) -> TokenOptions | None:
    """What `build` is asked for. Raises FieldError."""
    from index_builder.tokens import SHARE, TokenOptions

    if none and (bits is not None or share is not None):
        raise FieldError("no_tokens", "leaves nothing to set --token-bits or --token-share for")
    return None if none else TokenOptions(bits, SHARE if share is None else share)


@app.command("inspect")
def inspect_bundle(bundle: BundlePath) -> None:
    """Show what a bundle holds: its parts, their bytes, and what was measured when it was built."""
    from bundle.manifest import read_manifest

    manifest = read_manifest(bundle)
    document = manifest.model_dump(mode="json", exclude_none=True)
    files = document.pop("files")
    student = document["encoder"].pop("student", {})
    student.pop("figures", None)
    _print_section("", {k: v for k, v in document.items() if not isinstance(v, dict | list)})
    sections = {"encoder": document["encoder"], "student": student, "build": document["build"],
                "figures": document["figures"], "swap": document.get("swap", {})}  # fmt: skip
    for title, values in sections.items():
        _print_section(title, {k: v for k, v in values.items() if v not in ("", {}, [])})
    if manifest.encoder.student is not None:
        _print_section("student against teacher", _kept(manifest.encoder.student))
    _print_tokens(manifest)
    if manifest.ranker is not None:
        measured = getattr(manifest.ranker, "figures", {})  # a T5 was not trained here
        figures = {
            f"{measure}, development": f"{before:.4f} to {after:.4f}"
            for measure, (before, after) in measured.items()
        }
        _print_section("decoder", {"name": manifest.ranker.name, **figures})
    _print_reading(manifest)
    if manifest.states is not None:
        _print_section("states", manifest.states.model_dump(exclude={"ranker"}))
    _print_neighbours(manifest)
    total = sum(file["bytes"] for file in files.values())
    per_passage = total / max(1, manifest.passages)
    _print_section("bytes", {path: f"{file['bytes']:>15,}" for path, file in files.items()})
    _print_section("total", {"bytes": f"{total:,}", "bytes a passage": f"{per_passage:,.0f}"})


def _print_tokens(manifest: Manifest) -> None:
    """What ranking reads, and what it takes: codes, positions, numbers and the coder together."""
    from bundle.tokens import CODER

    tokens, dimension = manifest.tokens, manifest.encoder.dimension
    if tokens is None:
        return
    total, passages = tokens.bytes + manifest.files[CODER].bytes, max(1, manifest.passages)
    before = max(1, tokens.tokens)
    rows = {
        "bits": f"{tokens.bits}, of {dimension} dimensions",
        "share": tokens.share,
        "tokens": f"{tokens.tokens:,}, {tokens.tokens / passages:,.1f} a passage",
        "codes": f"{tokens.codes:,}, {tokens.codes / passages:,.1f} a passage",
        "bytes": f"{total:,}, with {manifest.files[CODER].bytes:,} of the coder",
        "bytes a passage": f"{total / passages:,.1f}; "
        f"{2 * dimension * tokens.tokens / passages:,.1f} as float16 states",
        "bytes a token": f"{total / before:,.2f}; {2 * dimension} as float16 states",
    }
    _print_section("tokens", rows)


def _print_reading(manifest: Manifest) -> None:
    """What answering reads, and what it takes: codes, numbers and coder, alone and with the tokens'."""
    from bundle.bundle import READER
    from bundle.reading import READING_CODER
    from bundle.tokens import CODER

    tokens, reading, reader = manifest.tokens, manifest.reading, manifest.reader
    if tokens is None or reading is None:
        return
    files, passages, before = manifest.files, max(1, manifest.passages), max(1, tokens.tokens)
    total = reading.bytes + files[READING_CODER].bytes
    both = total + tokens.bytes + files[CODER].bytes
    size = sum(entry.bytes for file, entry in files.items() if file.startswith(f"{READER}/"))
    rows = {
        "reader": f"{reader.name}, {size:,} bytes" if reader else "none",
        "bits": f"{reading.bits}, of {manifest.encoder.dimension} dimensions",
        "codes": f"{reading.codes:,}, {reading.codes / passages:,.1f} a passage",
        "bytes": f"{total:,}, with {files[READING_CODER].bytes:,} of the coder",
        "bytes a passage": f"{total / passages:,.1f}; {both / passages:,.1f} with the tokens above",
        "bytes a token": f"{total / before:,.2f}; {both / before:,.2f} with the tokens above",
    }
    _print_section("answers", rows)


def _kept(student: StudentConfig) -> dict[str, str]:
    """What a student was measured to keep of its teacher's quality, by data and measure."""
    return {
        f"{f.data} {f.measure}": f"{f.student:.4f} of {f.teacher:.4f}: {f.retention:.1%} kept"
        for f in student.figures
    }


def _print_section(title: str, values: dict[str, Any]) -> None:
    if not values:
        return
    if title:
        _console.print(f"\n[bold]{title}[/]")
    for name, value in values.items():
        _console.print(f"  {name:<34} {value}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def verify(bundle: BundlePath) -> None:
    """Check every file of a bundle against its hash, and the files against each other."""
    from bundle.bundle import verify as problems_of

    problems = problems_of(bundle)
    for problem in problems:
        _errors.print(problem, markup=False, highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    _console.print(f"{bundle}: sound")


@app.command("swap-encoder")
def swap_encoder(
    bundle: BundlePath,
    student: Annotated[
        str,
        typer.Argument(
            help="A folder that `lurcher compress` wrote; or fast, balanced or best, as in build."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(help="The bundle to write; default: NAME-STUDENT.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Let another encoder read a bundle's queries, in a new bundle; no passage is encoded anew."""
    from index_builder.swap import swap_encoder as swap
    from models.pretrained import PROFILES

    chosen = PROFILES[student] if student in PROFILES else Path(student)
    with _progress() as bar:
        made, manifest = swap(bundle, chosen, out, bar)
    reader, swapped = manifest.encoder.student, manifest.swap
    name = reader.name if reader else manifest.encoder.name
    _console.print(f"{made}: {name} reads the queries", highlight=False)
    if reader is not None:
        _print_section("against its teacher", _kept(reader))
    if swapped is not None and swapped.built_effort is not None:
        _print_section(
            "index",
            {
                "search effort": f"{manifest.figures.search_effort}, was {swapped.built_effort}",
                "recall@100": f"{swapped.recall:.4f}, was {swapped.built_recall:.4f}",
            },
        )
    if swapped is not None and swapped.recall < swapped.built_recall:
        _errors.print(
            f"warning: with {name} the index finds {swapped.recall:.3f} of exact search's first 100, "
            f"and found {swapped.built_recall:.3f} before",
            highlight=False,
        )


@app.command("swap-ranker")
def swap_ranker(
    bundle: BundlePath,
    ranker: Annotated[Path, typer.Argument(help="A decoder that `lurcher train ranker` wrote.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="The bundle to write; default: NAME-DECODER.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Let a decoder rank a bundle's passages, in a new bundle; no passage is read anew."""
    from index_builder.ranker import swap_ranker as swap

    made, manifest = swap(bundle, ranker, out)
    if manifest.ranker is not None:
        _console.print(f"{made}: {manifest.ranker.name} ranks, if asked to", highlight=False)


@app.command()
def adapt(
    bundle: BundlePath,
    queries: Annotated[
        Path | None, typer.Option(help="Queries: one {_id, text} a line; goes with --qrels.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="What answers them: query id, passage id, weight, by tabs.")
    ] = None,
    clicks: Annotated[
        list[Path] | None,
        typer.Option(help="Clicks: one {query, passage} a line; may be repeated."),
    ] = None,
    from_log: Annotated[
        list[Path] | None, typer.Option(help="A server's feedback log; may be repeated.")
    ] = None,
    dev_queries: Annotated[
        Path | None, typer.Option(help="Queries to tune on; goes with --dev-qrels.")
    ] = None,
    dev_qrels: Annotated[Path | None, typer.Option(help="What answers them.")] = None,
    keep_unseen: Annotated[
        float,
        typer.Option(
            help="Share of its quality that a query keeps whose passages nobody asked for."
        ),
    ] = 0.99,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget the known queries that the bundle has.")
    ] = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The bundle to write; default: NAME-adapted.lurcher beside BUNDLE."),
    ] = None,
) -> None:
    """Let judged queries, clicks or feedback lift a bundle's ranking; nothing is trained."""
    from index_builder.adapt import adapt as run
    from index_builder.adapt import read_sources
    from index_builder.neighbours import NeighbourOptions

    judged = read_sources(
        _pair("qrels", queries, qrels), clicks or [], from_log or [],
        _pair("dev_qrels", dev_queries, dev_qrels), skip_unknown=skip_unknown,
    )  # fmt: skip
    with _progress() as bar:
        made, manifest = run(
            bundle, judged, NeighbourOptions(keep_unseen, skip_unknown, replace), out, bar
        )
    _console.print(f"{made}", highlight=False)
    _print_neighbours(manifest)


def _pair(field: str, queries: Path | None, qrels: Path | None) -> tuple[Path, Path] | None:
    """Two files that go together. Raises FieldError where one of them is missing."""
    if (queries is None) != (qrels is None):
        raise FieldError(
            field, f"goes with {field.replace('qrels', 'queries')}: pass both or neither"
        )
    return None if queries is None or qrels is None else (queries, qrels)


def _print_neighbours(manifest: Manifest) -> None:
    """What a bundle knows of queries, and what was chosen."""
    known = manifest.neighbours
    if known is None:
        return
    rows: dict[str, Any] = {
        "queries": f"{known.queries:,}", "labels": f"{known.labels:,}",
        "passages with labels": f"{known.passages:,} of {manifest.passages:,}",
        "from": ", ".join(f"{source} ({n:,})" for source, n in known.sources.items()),
        "tuned on": known.development, "chosen": known.mode,
    }  # fmt: skip
    if known.mode != "off":
        settings = known.xs if known.mode == "xs" else known.xl
        rows.update(settings.model_dump())
    _print_section("known queries", rows)
    trials: dict[str, str] = {}
    for trial in known.trials:
        text = f"nDCG@10 {trial.ndcg:.4f}, Recall@100 {trial.recall:.4f}"
        if trial.unseen_ndcg is not None:
            text += (
                f"; where nobody asked before {trial.unseen_ndcg:.4f}, {trial.unseen_recall:.4f}"
            )
        trials[trial.mode] = text
    _print_section("tried", trials)


@app.command()
def search(
    bundle: BundlePath,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Most hits to show.")] = 5,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Conditions on metadata, as JSON.")
    ] = None,
    pefa: Annotated[
        Literal["auto", "off", "xs", "xl"],
        typer.Option(help="How known queries count; auto: as the bundle was tuned."),
    ] = "auto",
    rank: RankOption = "auto",
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="How many are ranked; default: 100, or --top-k if that is more."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit.")] = False,
) -> None:
    """Answer one query, without a server."""
    from bundle.bundle import Bundle
    from models.text import lone_surrogate
    from server.filters import parse
    from server.pipeline import Pipeline
    from server.searching import Query

    if not query.strip():
        raise FieldError("query", "must hold more than white space")
    if lone_surrogate(query) is not None:
        raise FieldError("query", "is not valid Unicode")
    if rank != "off" and candidates is not None and candidates < top_k:
        raise FieldError("candidates", f"must be at least --top-k, which is {top_k}")
    conditions = tuple(parse(filter_)) if filter_ else ()
    pipeline = Pipeline(Bundle.open(bundle))
    asked = Query(query, top_k, conditions, mode=pefa, rank=rank, candidates=candidates)
    (result,) = pipeline.run([asked])
    if isinstance(result, LurcherError):
        raise result
    for found in result.found:
        passage = found.passage
        if as_json:
            fields = {"id": passage.id, "score": found.score, "title": passage.title,
                      "text": passage.text, "metadata": passage.metadata}  # fmt: skip
            print(json.dumps(fields, ensure_ascii=False))
        else:
            _console.print(f"[bold]{found.score:.3f}[/]  ", end="")
            _console.print(passage.title or passage.id, markup=False, highlight=False, style="cyan")
            text = " ".join(passage.text.split())[:300]
            _console.print(f"       {text}", markup=False, highlight=False)


@app.command("eval")
def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="BUNDLE|URL", help="A bundle, or a running server.")
    ],
    queries: Annotated[
        Path,
        typer.Option(
            help="queries.jsonl: one {_id, text} a line, with answers: [...] for --answers."
        ),
    ],
    qrels: Annotated[Path, typer.Option(help="Judgements: query id, passage id, grade, by tabs.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many queries.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Measure what is answered instead: EM and F1.")
    ] = False,
    passages: Annotated[int, typer.Option(min=1, help="Passages read for each answer.")] = 10,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least probable answer given; default: the reader's."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another bundle or URL, compared query by query.")
    ] = None,
    pefa: Annotated[
        Literal["auto", "off", "xs", "xl"],
        typer.Option(help="How known queries count; auto: as the bundle was tuned."),
    ] = "auto",
    rank: RankOption = "auto",
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="How many are ranked, and at most found; default: 100."),
    ] = None,
    against_rank: Annotated[
        Literal["auto", "off", "maxsim", "decoder"] | None,
        typer.Option(
            help="How --against ranks; without it, compare BUNDLE with itself, so ranked."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here too.")
    ] = None,
) -> None:
    """Measure retrieval quality, nDCG@10, MRR@10, Recall@10 and @100, or answers, with 95 % intervals."""
    try:
        from benchmarks.answers import Asking, evaluate_answers, open_answerer
        from benchmarks.evaluate import evaluate as measure
        from benchmarks.searchers import open_searcher
    except ModuleNotFoundError as error:
        raise _missing(error, "eval") from error
    from evaluation.answers import read_answers
    from evaluation.judgements import read_qrels, read_queries

    texts, judged = read_queries(queries), read_qrels(qrels)
    with ExitStack() as opened:
        if answers:
            asked = {id_: texts[id_] for id_ in judged if id_ in texts}
            asking = Asking(passages, min_score, rank)
            answerer = opened.enter_context(open_answerer(target, asking))
            found = evaluate_answers(answerer, asked, read_answers(queries), limit)
        else:
            searcher = opened.enter_context(open_searcher(target, pefa, rank, candidates))
            other = None
            if against is not None or against_rank is not None:
                theirs = (target, pefa) if against is None else (against, "auto")
                other = opened.enter_context(
                    open_searcher(*theirs, against_rank or "auto", candidates)
                )
            found = measure(searcher, texts, judged, limit, other)
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    _console.print(f"{found.target}, {found.queries:,} queries", highlight=False)
    for name, figure in found.figures.items():
        line = f"  {name:<11} {figure.mean:.4f}  [{figure.low:.4f}, {figure.high:.4f}]"
        if found.against is not None:
            change = found.against[name]
            line += f"   against: {change.mean:+.4f}  [{change.low:+.4f}, {change.high:+.4f}]"
        _console.print(line, markup=False, highlight=False)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A sentence-transformers or Hugging Face folder, or a hub name.")
    ],
    out: Annotated[
        Path, typer.Argument(help="The folder to write, for `lurcher build --encoder`.")
    ],
    int8: Annotated[
        bool, typer.Option(help="8-bit weights and activations, or 32-bit floats.")
    ] = True,
    pooling: Annotated[
        Literal["mean", "cls"] | None, typer.Option(help="Default: what the folder says.")
    ] = None,
    similarity: Annotated[
        Literal["cosine", "dot"] | None, typer.Option(help="Default: what the folder says.")
    ] = None,
    query_prompt: Annotated[str | None, typer.Option(help="Text before each query.")] = None,
    passage_prompt: Annotated[str | None, typer.Option(help="Text before each passage.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=8, help="Where texts are cut.")] = None,
) -> None:
    """Export any encoder to ONNX, checked against the original."""
    try:
        from training.export import export_encoder
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error

    config = export_encoder(
        model, out, int8=int8, pooling=pooling, similarity=similarity,
        query_prompt=query_prompt, passage_prompt=passage_prompt, max_tokens=max_tokens,
    )  # fmt: skip
    _console.print(f"{out}: {config.name}, {config.dimension} dimensions, {config.precision}")


@app.command("export-ranker")
def export_ranker(
    model: Annotated[
        str, typer.Argument(help="A folder or hub name of a T5ForConditionalGeneration.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write, for `lurcher build --ranker`.")],
    name: Annotated[str | None, typer.Option(help="Default: MODEL's.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Where passages are cut; default: MODEL's, at most 512.")
    ] = None,
    max_query_tokens: Annotated[int, typer.Option(help="Where queries are cut.")] = 64,
    passage_prompt: Annotated[str, typer.Option(help="Text before each passage.")] = "",
    query_prompt: Annotated[str, typer.Option(help="Text before each query.")] = "",
    words: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="What it writes after a query that the passage answers, and one that it does not."
        ),
    ] = None,
    score: Annotated[
        Literal["likelihood", "relevance", "both"] | None,
        typer.Option(help="Default: relevance where there are --words, or else likelihood."),
    ] = None,
    likelihood: Annotated[
        Literal["sum", "mean"], typer.Option(help="Over a query's tokens.")
    ] = "mean",
) -> None:
    """Take any T5 apart for ranking, checked against the original."""
    try:
        from training.ranker.t5 import export_t5
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error

    config = export_t5(
        model, out, name=name, max_tokens=max_tokens, max_query_tokens=max_query_tokens,
        passage_prompt=passage_prompt, query_prompt=query_prompt, words=words, score=score,
        likelihood=likelihood,
    )  # fmt: skip
    _console.print(f"{out}: {config.name}, {config.dimension} dimensions, by {config.score}")


@app.command()
def compress(
    teacher: Annotated[
        Path, typer.Argument(metavar="BUNDLE|TEACHER", help="A bundle, or an encoder's folder.")
    ],
    out: Annotated[Path, typer.Option(help="The student's folder, for `lurcher swap-encoder`.")],
    queries: Annotated[
        list[Path], typer.Option(help="queries.jsonl: one {_id, text} a line; may be repeated.")
    ],
    layers: Annotated[
        str | None,
        typer.Option(help="Layers to keep, such as 0,5; or none, for a token table. Default: all."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="How many layers to keep, from both ends, instead.")
    ] = None,
    sparsity: Annotated[
        float, typer.Option(help="Share of zeros in the layers' weights, below 1.")
    ] = 0.0,
    pattern: Annotated[
        Literal["unstructured", "4-block"],
        typer.Option(help="Which zeros: any, or four at a time."),
    ] = "unstructured",
    rank: Annotated[
        int, typer.Option(help="Numbers by which each token's embedding is corrected; 0 for none.")
    ] = 32,
    int8: Annotated[
        bool, typer.Option(help="8-bit weights and activations, or 32-bit floats.")
    ] = True,
    losses: Annotated[
        str | None,
        typer.Option(
            help="Losses with weights, of kl, l2, cosine, scores and tokens. "
            "Default: l2:4,tokens:1. For scores compress a bundle's encoder."
        ),
    ] = None,
    epochs: Annotated[float, typer.Option(help="Times through the queries.")] = 1.0,
    batch: Annotated[int, typer.Option(help="Queries a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The highest; it rises, then falls.")] = 2e-3,
    checks: Annotated[
        int, typer.Option(help="Checkpoints measured, of which the best is kept.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Of the order of queries.")] = 0,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    original: Annotated[
        str | None,
        typer.Option(
            help="The teacher's own weights: a folder or hub name. Default: what it names."
        ),
    ] = None,
    dev_queries: Annotated[
        Path | None, typer.Option(help="Judged queries to choose checkpoints by; needs a bundle.")
    ] = None,
    dev_qrels: Annotated[Path | None, typer.Option(help="Their judgements.")] = None,
) -> None:
    """Make a smaller query encoder for passages that stay as they are, from queries alone."""
    try:
        from training.alignment.making import MIX, Plan
        from training.compress import Judged
        from training.compress import compress as run
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error
    from evaluation.judgements import read_qrels, read_queries

    if (dev_queries is None) != (dev_qrels is None):
        raise FieldError("dev_qrels", "goes with dev_queries: pass both or neither")
    judged = None
    if dev_queries is not None and dev_qrels is not None:
        judged = Judged(dev_qrels.stem, read_queries(dev_queries), read_qrels(dev_qrels))
    plan = Plan(
        _layer_numbers(layers), depth, sparsity, pattern, rank, int8, _weights(losses) or MIX, epochs,
        batch, learning_rate, checks, seed, device,
    )  # fmt: skip
    texts = [text for file in queries for text in read_queries(file).values()]

    def report(line: str) -> None:
        _errors.print(line, markup=False, highlight=False)

    config = run(teacher, texts, out, plan, original=original, judged=judged, report=report)
    _console.print(f"{out}: {config.name}, {len(config.layers)} layers, {config.precision}")
    _print_section("against its teacher", _kept(config))


def _layer_numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None or text == "none":
        return None if text is None else ()
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise FieldError("layers", f"{text!r} is not layer numbers such as 0,5, or none") from None


def _weights(text: str | None) -> dict[str, float]:
    """Loss weights from ``name:weight,...``; without a weight it is 1."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text else []:
        name, _, weight = part.partition(":")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            raise FieldError("losses", f"{part!r}: {weight!r} is not a number") from None
    return found


@training.command("tokens")
def train_tokens(
    bundle: BundlePath,
    out: Annotated[
        Path, typer.Option(help="The file to write; put it into the encoder's folder to use it.")
    ],
    queries: Annotated[Path, typer.Option(help="queries.jsonl: one {_id, text} a line.")],
    qrels: Annotated[Path, typer.Option(help="What answers them: query id, passage id, grade.")],
    dev_queries: Annotated[Path, typer.Option(help="Judged queries to choose by.")],
    dev_qrels: Annotated[Path, typer.Option(help="Their judgements.")],
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 500,
    recovery: Annotated[
        float, typer.Option(help="Weight of what the codes lose of the states (BTR).")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of which queries are drawn, and their order.")] = 0,
) -> None:
    """Make the projection by which an encoder's token states become 1-bit codes, from judged queries."""
    try:
        from training.tokens.loop import Plan, Report
        from training.tokens.train import train_tokens as run
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error

    def report(found: Report) -> None:
        loss = "" if found.loss is None else f"loss {found.loss:.4f}, "
        _errors.print(f"step {found.step:,}: {loss}MRR@10 {found.quality:.4f}", highlight=False)

    plan = Plan(steps=steps, recovery=recovery, seed=seed)
    run(bundle, (queries, qrels), (dev_queries, dev_qrels), out, plan, report, skip_unknown)
    _console.print(f"{out}: to be named projection.npz in the encoder's folder", highlight=False)


@training.command("ranker")
def train_ranker(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option(help="The decoder's folder.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl: one {_id, text} a line.")],
    qrels: Annotated[Path, typer.Option(help="What answers them: query id, passage id, grade.")],
    dev_queries: Annotated[
        Path | None,
        typer.Option(help="Judged queries to choose weights by; default: a tenth of the others."),
    ] = None,
    dev_qrels: Annotated[Path | None, typer.Option(help="Their judgements.")] = None,
    cross_scores: Annotated[
        Path | None,
        typer.Option(help="A cross-encoder's scores to learn from: query id, passage id, score."),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
    ] = False,
    candidates: Annotated[
        int, typer.Option(help="How many it learns to tell apart: the best by tokens.")
    ] = 50,
    steps: Annotated[int, typer.Option(help="Steps of training; more may learn by heart.")] = 1_000,
    batch: Annotated[int, typer.Option(help="Queries a step.")] = 16,
    negatives: Annotated[int, typer.Option(help="Wrong passages a query, in a step.")] = 19,
    width: Annotated[int, typer.Option(help="Numbers a query token.")] = 64,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    layers: Annotated[int, typer.Option(help="Layers that read the query alone.")] = 1,
    crossings: Annotated[int, typer.Option(help="Layers that read passages.")] = 1,
    dropout: Annotated[float, typer.Option(help="Share left out at random in training.")] = 0.1,
    learning_rate: Annotated[float, typer.Option(help="The highest; it rises, then falls.")] = 1e-3,
    checks: Annotated[
        int, typer.Option(help="Checkpoints measured, of which the best is kept.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Of the weights and the order of queries.")] = 0,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    name: Annotated[str | None, typer.Option(help="What it is called; default: as --out.")] = None,
) -> None:
    """Make a decoder that ranks a bundle's passages better than its tokens alone, from judged queries."""
    try:
        from training.ranker.loop import Schedule
        from training.ranker.train import Plan, Sources
        from training.ranker.train import train_ranker as run
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error

    sources = Sources(
        queries, qrels, _pair("dev_qrels", dev_queries, dev_qrels), cross_scores, skip_unknown
    )
    schedule = Schedule(steps, batch, learning_rate, checks=checks, seed=seed, negatives=negatives)
    plan = Plan(width, heads, layers, crossings, dropout, candidates, schedule, device)

    def report(line: str) -> None:
        _errors.print(line, markup=False, highlight=False)

    config = run(bundle, sources, out, plan, report, name)
    _console.print(f"{out}: the weights of step {config.steps:,}", highlight=False)
    found = {
        name: f"{after:.4f}, {before:.4f} before"
        for name, (before, after) in config.figures.items()
    }
    _print_section("development", found)


@training.command("reader")
def train_reader(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option(help="The reader's folder.")],
    queries: Annotated[
        Path, typer.Option(help="queries.jsonl: one {_id, text, answers: [...]} a line.")
    ],
    qrels: Annotated[
        Path, typer.Option(help="Where the answers stand: query id, passage id, grade.")
    ],
    dev_queries: Annotated[
        Path | None,
        typer.Option(help="Questions to choose weights by; default: a tenth of the others."),
    ] = None,
    dev_qrels: Annotated[Path | None, typer.Option(help="Their judgements.")] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The reader's name; default: OUT's.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 4_000,
    batch: Annotated[int, typer.Option(help="Questions a step.")] = 24,
    width: Annotated[int, typer.Option(help="Numbers a token.")] = 256,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 8,
    layers: Annotated[int, typer.Option(help="Layers that read question and passage.")] = 3,
    inner: Annotated[int, typer.Option(help="Width of the feed-forward layers.")] = 1_024,
    learning_rate: Annotated[float, typer.Option(help="The highest; it rises, then falls.")] = 1e-3,
    checks: Annotated[
        int, typer.Option(help="Checkpoints measured, of which the best is kept.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of the weights and the order of questions.")] = 0,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
) -> None:
    """Make a reader that finds answers in passages, from questions with answers."""
    try:
        from training.ranker.train import Sources
        from training.reader.train import Plan
        from training.reader.train import train_reader as run
        from training.run import Schedule
    except ModuleNotFoundError as error:
        raise _missing(error, "train") from error

    sources = Sources(
        queries, qrels, _pair("dev_qrels", dev_queries, dev_qrels), skip_unknown=skip_unknown
    )
    schedule = Schedule(steps, batch, learning_rate, warmup=200, checks=checks, seed=seed)
    plan = Plan(width, heads, layers, inner, schedule, device)

    def report(line: str) -> None:
        _errors.print(line, markup=False, highlight=False)

    config = run(bundle, sources, out, plan, name, report)
    figures = ", ".join(f"{measure} {value:.4f}" for measure, value in config.figures.items())
    _console.print(f"{out}: {config.questions:,} questions, {figures}", highlight=False)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Print the answers and stop.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")
    ] = 8080,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep the bundle; default: the cache.")
    ] = None,
) -> None:
    """Index this Python's own documentation, serve it, and ask it three questions."""
    import webbrowser

    from index_builder.demo import demo_bundle, demo_folder
    from server.demo import ask
    from server.run import serve as run
    from server.settings import load_settings

    with _progress() as bar:
        path, manifest = demo_bundle(folder or demo_folder(), bar)
    _console.print(
        f"{manifest.passages:,} docstrings of Python's standard library in {path}", highlight=False
    )

    def visit(url: str) -> bool:
        ask(url, _console)
        if not once:
            _console.print(f"\nThe search page: {url}   (Ctrl-C stops)", highlight=False)
            webbrowser.open(url)
        return not once

    flags = {
        "bundle": path,
        "port": 0 if once else port,
        "log_level": "warning",
        "log_format": "console",
    }
    run(load_settings(None, flags), visit)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with a flag for every setting, so that a setting is written down in one place."""
    from server.settings import Settings

    kinds: dict[str, Any] = {
        "config": Annotated[Path | None, typer.Option(help="A TOML file of settings.")]
    }
    for name, field in Settings.model_fields.items():
        place = typer.Argument if name == "bundle" else typer.Option
        kind: Any = field.annotation
        kinds[name] = Annotated[kind | None, place(help=field.description)]
    command.__annotations__ = kinds
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what inspect reads
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]
    )
    return command


@app.command()
@_with_settings
def serve(**given: Any) -> None:
    """Serve a bundle over HTTP. Every flag can also be set by environment (LURCHER_...) or file."""
    from server.run import serve as run
    from server.settings import load_settings

    config = given.pop("config")
    run(load_settings(config, {name: v for name, v in given.items() if v not in (None, [])}))


@app.command("key")
def make_key() -> None:
    """Make an API key: the key for callers, and its hash for the server's settings."""
    from server.keys import key_hash, new_key

    key = new_key()
    print(f'{key}\n\nIt is shown only here. For the settings file, or read_keys instead:\n'
          f'write_keys = ["{key_hash(key)}"]')  # fmt: skip


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="ablation, build, encoder, feedback, gold, neighbours, pefa, ranker, reader, server, "
            "students or tokens."
        ),
    ],
) -> None:
    """Run a benchmark; what follows NAME is its own (try --help)."""
    import importlib

    if name not in _BENCHMARKS:
        raise FieldError("name", f"no benchmark {name!r}; there are: {', '.join(_BENCHMARKS)}")
    try:
        module = importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        raise _missing(error, "bench") from error
    tool = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    tool.command()(module.main)
    tool(args=context.args, prog_name=f"lurcher bench {name}")


_BENCHMARKS = (
    "ablation", "build", "encoder", "feedback", "gold", "neighbours", "pefa", "ranker", "reader", "server",
    "students", "tokens",
)  # fmt: skip


def _progress() -> AbstractContextManager[Reporter]:
    """A bar on a terminal; nothing where stderr is a file, which would get a line for each redraw."""
    from index_builder.progress import Silent, progress_bar

    return progress_bar(_errors) if _errors.is_terminal else nullcontext(Silent())


def _missing(error: ModuleNotFoundError, extra: str) -> LurcherError:
    return LurcherError(f"this needs the package {error.name}: pip install 'lurcher[{extra}]'")


if __name__ == "__main__":
    main()
