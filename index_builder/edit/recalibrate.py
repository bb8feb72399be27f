"""All that a build learns from its corpus, learnt anew from the passages that a bundle has now.

::

    recalibration-000007.partial/   what is unfinished, of generation 7; goes on after a kill
    segments/000009/                the one segment of the next generation
    tokens/000008/coder.npz         coders, since that generation
    reading/000008/coder.npz

One rename publishes all of it. Until then the bundle is as it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import faiss

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.fail_points import FailPoint
from lurcher.bundle.frequencies import LEXICAL
from lurcher.bundle.generations import next_generation, publish_generation
from lurcher.bundle.manifest import Figures, Manifest, SegmentEntry, Stores, hash_file
from lurcher.bundle.neighbours import (
    ADAPTED,
    LABELS,
    LENGTHS,
    MEANS,
    QUERIES,
    SCORES,
    TEXTS,
)
from lurcher.bundle.places import new_place, place_of
from lurcher.bundle.reading_store import READING_CODER, describe_reading
from lurcher.bundle.state_store import describe_states
from lurcher.bundle.sync import Disk
from lurcher.bundle.token_store import CODER, describe_tokens
from lurcher.errors import FieldError
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.edit.kept_labels import write_kept_labels
from lurcher.index_builder.edit.relearn import relearn
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.stages.build_index import factory_of
from lurcher.index_builder.stages.choose_preset import noted_preset
from lurcher.index_builder.stages.encode_passages import EMPTY, TRUNCATED, flagged
from lurcher.index_builder.stages.index_terms import noted_settings
from lurcher.index_builder.stages.measure_gain import noted_gain
from lurcher.index_builder.stages.tune_search import SEARCH_EFFORT
from lurcher.index_builder.workspace import Workspace
from lurcher.models.encoders.merge import link_or_copy
from lurcher.models.ranker.seq2seq import RankerConfig
from lurcher.threads import available_cpus

UNFINISHED = "recalibration-*.partial"
_CODERS = (CODER, READING_CODER)
_MAY_BE_GONE = (*_CODERS, LABELS, SCORES, MEANS, LENGTHS, QUERIES, TEXTS, ADAPTED)


def unfinished(generation: int) -> str:
    """The folder of a recalibration of ``generation`` that is not done."""
    return UNFINISHED.replace("*", f"{generation:06}")


def recalibrate(
    bundle: Bundle, name: str, report: Reporter, fail_point: FailPoint, disk: Disk
) -> Manifest:
    """Publish the generation after that of ``bundle``, of one segment ``name``, all learnt anew.

    Call it with all writes in files. Raises FieldError if there is no passage, ModelError, OSError; nothing
    is changed then, and the next call goes on.
    """
    if not bundle.passages.count:
        raise FieldError("bundle", "has no passage to learn from")
    root, manifest = bundle.path, bundle.manifest
    faiss.omp_set_num_threads(available_cpus())
    workspace = Workspace(
        root / unfinished(manifest.generation).removesuffix(".partial"), fail_point
    )
    with closing(workspace):
        with closing(relearn(bundle, workspace, report, fail_point)) as context:
            following = _placed(bundle, name, context, disk)
        fail_point("recalibration: placed")
        publish_generation(root, following, fail_point, disk)
        shutil.rmtree(workspace.root, ignore_errors=True)  # else the next writer's to remove
    return following


def _placed(bundle: Bundle, name: str, context: BuildContext, disk: Disk) -> Manifest:
    """The next generation, whose files are all in their places and on the disk."""
    root, before = bundle.path, bundle.manifest
    generation = before.generation + 1
    entry = SegmentEntry(name=name, passages=context.passages.count)
    made = [
        (file, f"{entry.folder}/{file.name}")
        for file in sorted((context.bundle / SEGMENT).iterdir())
    ]
    made += [
        (context.bundle / coder, new_place(coder, generation))
        for coder in _CODERS
        if (context.bundle / coder).is_file()
    ]
    for file, place in made:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).unlink(missing_ok=True)  # of a run that was killed
        # Not moved, so that a kill leaves the unfinished ones whole.
        link_or_copy(file, root / place)
    places = [root / place for _, place in made]
    folders = {folder for place in places for folder in (place.parent, place.parent.parent)}
    disk.sync_all([*places, *sorted(folders), root])
    learnt = {place_of(before.files, coder) for coder in _CODERS}
    labels = write_kept_labels(root, before, bundle.neighbours, disk)
    if labels is not None and bundle.neighbours is not None:
        before = labels.put_into(before, bundle.neighbours)
    kept = {
        file: one
        for file, one in before.files.items()
        if file not in learnt and not file.startswith(("segments/", f"{LEXICAL}/"))
    }
    files = kept | {place: hash_file(root / place) for _, place in made}
    stores = _stores(bundle, context)
    learned = before.model_copy(
        update={
            **{one: getattr(stores, one) for one in Stores.model_fields},
            "figures": _figures(before.figures, context),
            "build": before.build.model_copy(
                update={"index": factory_of(context), "preset": noted_preset(context)["preset"]}
            ),
            "swap": None,  # the effort is tuned for the query encoder that there is
        }
    )
    return next_generation(learned, [entry.model_copy(update={"stores": stores})], files)


def _stores(bundle: Bundle, context: BuildContext) -> Stores:
    """What the stages have written."""
    root, manifest, options = context.bundle, bundle.manifest, context.options
    tokens, reading, encoder = context.token_coder, context.reading_coder, manifest.encoder
    ranker, codec = manifest.ranker, bundle.codecs.states
    return Stores(
        lexical=noted_settings(context),
        tokens=None if tokens is None or options.tokens is None or encoder is None
        else describe_tokens(root, SEGMENT, tokens, options.tokens.keep_ratio, encoder),
        reading=None if reading is None or encoder is None
        else describe_reading(root, SEGMENT, reading, encoder),
        states=None if codec is None or not isinstance(ranker, RankerConfig)
        else describe_states(root, SEGMENT, codec, ranker),
    )  # fmt: skip


def _figures(before: Figures, context: BuildContext) -> Figures:
    """What was measured, with what only reading the corpus tells from ``before``."""
    scratch = context.scratch
    return Figures(
        empty_passages=flagged(scratch, EMPTY),
        truncated_passages=flagged(scratch, TRUNCATED),
        skipped_records=before.skipped_records,
        **json.loads((scratch / SEARCH_EFFORT).read_text()),
        lexical_gain=noted_gain(context),
        code_share=noted_preset(context)["code_share"],
    )


def sweep_unneeded(root: Path, manifest: Manifest) -> None:
    """Remove coders and labels that ``manifest`` does not name, and recalibrations of other generations.

    Raises OSError.
    """
    for folder in root.glob(UNFINISHED):
        if folder.name != unfinished(manifest.generation):
            shutil.rmtree(folder)
    for name in _MAY_BE_GONE:
        folder = (root / name).parent
        _remove(root, [root / name, *folder.glob("*/*")], manifest.files)
        for empty in folder.glob("*/"):
            if not any(empty.iterdir()):
                empty.rmdir()


def _remove(root: Path, files: Iterable[Path], named: Iterable[str]) -> None:
    for file in files:
        if file.is_file() and file.relative_to(root).as_posix() not in named:
            file.unlink()
