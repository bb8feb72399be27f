"""The end of a build: the manifest of what the stages wrote, and the known queries."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from lurcher.bundle.bundle import ENCODER, READER, SEGMENT, Bundle
from lurcher.bundle.manifest import (
    FORMAT_VERSION,
    BuildSettings,
    Coverage,
    Figures,
    Manifest,
    SegmentEntry,
    SplitSettings,
    list_files,
    lurcher_version,
    write_manifest,
)
from lurcher.bundle.neighbours import NEIGHBOURS
from lurcher.bundle.reading_store import describe_reading
from lurcher.bundle.state_codecs import load_codec
from lurcher.bundle.state_store import describe_states
from lurcher.bundle.token_store import describe_tokens
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.corpus.detect import detect
from lurcher.index_builder.corpus.left_out import files_left_out, kind_of_file
from lurcher.index_builder.neighbours import add_neighbours
from lurcher.index_builder.options import BuildOptions
from lurcher.index_builder.ranker_files import ranker_in
from lurcher.index_builder.stages.build_index import factory_of
from lurcher.index_builder.stages.choose_preset import noted_preset
from lurcher.index_builder.stages.encode_passages import EMPTY, TRUNCATED, UNFAMILIAR, flagged
from lurcher.index_builder.stages.encode_states import state_form
from lurcher.index_builder.stages.index_terms import noted_settings
from lurcher.index_builder.stages.measure_gain import noted_gain
from lurcher.index_builder.stages.store_passages import STORED, files_set_aside
from lurcher.index_builder.stages.tune_search import SEARCH_EFFORT
from lurcher.models.encoders.config import load_config
from lurcher.models.reader.reader import load_reader_config


def seal(context: BuildContext) -> Manifest:
    """The manifest of the bundle whose stages are done; writes it and the known queries into the bundle."""
    root, options = context.bundle, context.options
    shutil.rmtree(root / NEIGHBOURS, ignore_errors=True)  # of a build that was killed
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        lurcher_version=lurcher_version(),
        name=context.workspace.out.name.removesuffix(".lurcher"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=load_config(root / ENCODER) if options.vectors else None,
        build=BuildSettings(
            corpus=context.corpus.name, index=factory_of(context), recall_target=options.recall,
            seed=options.seed, preset=noted_preset(context)["preset"], chosen=_chosen(options),
            **_engine(context),
            split=SplitSettings(
                tokenizer=context.models.config.fingerprint, window=options.window,
                overlap=context.models.splitter.overlap, url_prefix=options.url_prefix,
            ),
        ),
        figures=_figures(context),
        coverage=_coverage(context),
        lexical=noted_settings(context),
        **_stores(context),
        ranker=ranker_in(root),
        reader=None if context.models.reader is None else load_reader_config(root / READER),
        segments=[SegmentEntry(name="000000", passages=context.passages.count)],
        files=list_files(root),
    )  # fmt: skip
    context.fail_point("manifest: begun")
    write_manifest(root, manifest)
    return manifest if options.judged is None else _add_known_queries(context, manifest)


def _chosen(options: BuildOptions) -> list[str]:
    """What the build chose by the corpus."""
    language = options.lexical is not None and options.lexical.language is None
    by_size, by_code = options.index == "auto", options.preset == "auto"
    chosen = {
        "index": options.vectors and by_size,
        "language": language,
        "preset": options.vectors and by_code,
    }
    return [name for name, by_corpus in chosen.items() if by_corpus]


def _engine(context: BuildContext) -> dict[str, str]:
    """What encoded the passages, and why; nothing without vectors."""
    if not context.options.vectors:
        return {}
    choice = context.encoder.choice
    return {"engine": choice.name, "engine_reason": choice.reason}


def _figures(context: BuildContext) -> Figures:
    """What the stages measured and noted."""
    scratch = context.scratch
    return Figures(
        empty_passages=flagged(scratch, EMPTY),
        truncated_passages=flagged(scratch, TRUNCATED),
        skipped_records=json.loads((scratch / STORED).read_text())["skipped"],
        **json.loads((scratch / SEARCH_EFFORT).read_text()),
        lexical_gain=noted_gain(context),
        code_share=noted_preset(context)["code_share"],
    )


def _coverage(context: BuildContext) -> Coverage:
    """How much of the corpus is searched."""
    stored = json.loads((context.scratch / STORED).read_text())
    # Files of texts are documents, whose ids are their paths; any other corpus is one file.
    texts = detect(context.corpus).kind == "texts"
    file = context.files[0].name
    folder = texts and context.corpus.is_dir()
    told = files_set_aside(context.workspace.out) if folder else set()
    kinds: Counter[str] = Counter()
    documents = split = 0
    for id_, passages in context.passages.document_sizes():
        kinds[kind_of_file(id_ if texts else file)] += passages
        documents, split = documents + 1, split + (passages > 1)
        if folder:
            told.add(context.corpus / id_)
    left_out = files_left_out(context.corpus, told) if folder else {}
    return Coverage(
        documents=documents, split_documents=split, characters=stored["characters"],
        characters_read=stored["read"], passages_by_kind=dict(sorted(kinds.items())),
        files_left_out=left_out,
        unfamiliar_passages=flagged(context.scratch, UNFAMILIAR),
    )  # fmt: skip


def _stores(context: BuildContext) -> dict[str, Any]:
    """What the manifest says of each jagged store that was written."""
    root, tokens = context.bundle, context.options.tokens
    encoder, t5 = context.models.config, context.models.t5
    stores: dict[str, Any] = {}
    if context.token_coder is not None and tokens is not None:
        stores["tokens"] = describe_tokens(
            root, SEGMENT, context.token_coder, tokens.keep_ratio, encoder
        )
    if context.reading_coder is not None:
        stores["reading"] = describe_reading(root, SEGMENT, context.reading_coder, encoder)
    if t5 is not None:
        codec = load_codec(root, state_form(context), t5.config.dimension)
        stores["states"] = describe_states(root, SEGMENT, codec, t5.config)
    return stores


def _add_known_queries(context: BuildContext, manifest: Manifest) -> Manifest:
    """The manifest with the known queries, which are put into the bundle; it is whole without them."""
    root, options = context.bundle, context.options
    assert options.judged is not None  # noqa: S101 (the caller asked)
    context.fail_point("known queries: begun")
    with closing(Bundle.open(root, check_hashes=False)) as bundle:
        settings = add_neighbours(bundle, options.judged, options.neighbours, root, context.report)
    files = {"neighbours": settings, "files": list_files(root)}
    manifest = manifest.model_copy(update=files)
    write_manifest(root, manifest)
    return manifest
