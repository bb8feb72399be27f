"""Which engine encodes a build's passages: the faster one, by a trial, and then the same to the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lurcher.bundle.passages import Passages
from lurcher.errors import ModelError
from lurcher.models.encoders.encoder import TOKEN_BUDGET, Encoder
from lurcher.models.encoders.tokenizer import length_buckets, pad
from lurcher.models.engines import Choice, EngineName, choose_engine

if TYPE_CHECKING:
    from lurcher.models.engines.choice import Batch

# Below the workspace's scratch folder: the engine and the reason, for a build that goes on after a kill.
ENGINE = "engine.json"
# Passages that are looked at, and batches of them that each engine encodes: half a second.
_SAMPLE, _BATCHES = 64, 3


def passage_encoder(
    reference: Encoder, graph: Path, engine: EngineName, passages: Passages, scratch: Path
) -> Encoder:
    """``reference``, whose engine is ONNX Runtime, run by ``engine``; "auto": by the faster one.

    What a build chose once it keeps, as long as it can be had: the rest of its passages get the vectors that
    they would have had. Raises ModelError for an engine that cannot run ``graph``.
    """
    note = scratch / ENGINE
    if engine == "onnxruntime":
        choice = Choice(engine, reference.choice.engine, reference.choice.reason)
    elif engine != "auto":
        choice = choose_engine(engine, graph, 1)
    else:
        choice = _noted(note, reference, graph) or _tried(reference, graph, passages)
    note.write_text(json.dumps({"engine": choice.name, "reason": choice.reason}))
    return reference.run_by(choice)


def _noted(note: Path, reference: Encoder, graph: Path) -> Choice | None:
    """What was chosen before the build was killed; None if nothing was, or it cannot be had any more."""
    try:
        found = json.loads(note.read_text())
        name, reason = found["engine"], found["reason"]
        if name == "onnxruntime":
            return Choice(name, reference.choice.engine, reason)
        return Choice("native", choose_engine("native", graph, 1).engine, reason)
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return None


def _tried(reference: Encoder, graph: Path, passages: Passages) -> Choice:
    """The engine that is faster for a few of the ``passages``."""
    # Imported here: a build without vectors needs no engine.
    from lurcher.models.engines.choice import choose_for

    rows = np.unique(np.linspace(0, passages.count - 1, min(_SAMPLE, passages.count)).astype(int))
    return choose_for(graph, reference.choice.engine, _batches(reference, passages, rows.tolist()))


def _batches(encoder: Encoder, passages: Passages, rows: list[int]) -> list[Batch]:
    """Some of the batches that the encoder would make of the passages at ``rows``, from short to long."""
    ids = [one.ids for one in encoder.tokenise(passages.contents(rows))]
    buckets = length_buckets([len(one) for one in ids], TOKEN_BUDGET)
    some = np.unique(np.linspace(0, len(buckets) - 1, min(_BATCHES, len(buckets))).astype(int))
    batches: list[Batch] = []
    for place in some:
        padded, mask = pad([ids[text] for text in buckets[place]])
        batches.append({"input_ids": padded, "attention_mask": mask})
    return batches
