"""How well a reader answers from all passages: exact match over what a search finds for questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answer_measures import exact_match
from lurcher.models.reader.spans import Span, best_spans
from lurcher.models.tokens.clustering import Vectors
from lurcher.training.reader.groups import Group, Groups, Source
from lurcher.training.reader.network import Reader
from lurcher.training.reader.quality import LONGEST
from lurcher.training.reader.span_training import in_bfloat16

# What checkpoints are chosen by: the mean of the kinds of questions.
MEASURE = "EM"
# Passages that are read for a question, as a server does.
_DEPTH = 10
# Of a hit's score beside logits: what is best is found once a reader is trained, and differs little.
_WEIGHTS = (20.0, 40.0, 80.0)
_TOGETHER = 4  # questions


@dataclass(frozen=True, slots=True)
class _Open:
    """A development question, with its rows, their scores, and its right answers."""

    kind: str
    group: Group
    scores: Vectors
    answers: list[str]


class OpenReading:
    """Development questions of several kinds, whose answers stand in passages that a search finds."""

    def __init__(
        self, bundle: Bundle, groups: Groups, sources: Sequence[Source], most: int
    ) -> None:
        """At most so many questions of each of ``sources``, the first ones; ``groups`` makes batches."""
        self._groups = groups
        self._texts: dict[int, tuple[str, list[tuple[int, int]]]] = {}
        self._bundle = bundle
        self._open: list[_Open] = []
        for source in sources:
            near = source.found.spans[source.found.spans[:, 1] < _DEPTH]
            for question in np.unique(near[:, 0])[:most].tolist():
                rows = source.found.rows[question, :_DEPTH]
                rows = rows[rows >= 0]
                group = Group(source.asked.texts[question], rows.tolist(), [[]] * len(rows), False)
                scores = source.found.scores[question, : len(rows)]
                self._open.append(_Open(source.name, group, scores, source.asked.answers[question]))

    def quality(self, reader: Reader) -> dict[str, float]:
        """The share of questions answered exactly, of each kind and, as ``MEASURE``, their mean."""
        exact: dict[float, dict[str, list[float]]] = {weight: {} for weight in _WEIGHTS}
        for first in range(0, len(self._open), _TOGETHER):
            some = self._open[first : first + _TOGETHER]
            grouped = self._groups.collate([one.group for one in some])
            with torch.inference_mode(), in_bfloat16(reader.device):
                logits = grouped.logits(reader).float().numpy()
            counts = grouped.batch.there.sum(1).numpy()
            at = 0
            for one in some:
                these = slice(at, at := at + len(one.group.rows))
                own = counts[these]
                read = np.concatenate(
                    [part[:n] for part, n in zip(logits[these], own, strict=True)]
                )
                for weight, by_kind in exact.items():
                    bonus = np.float32(weight) * one.scores
                    found = best_spans(read, own, bonus, LONGEST, 1)
                    text = self._text(one.group.rows[found[0].passage], found[0]) if found else ""
                    by_kind.setdefault(one.kind, []).append(exact_match(text, one.answers))
        means = {
            weight: {kind: float(np.mean(found)) for kind, found in by_kind.items()}
            for weight, by_kind in exact.items()
        }
        best = max(means.values(), key=lambda one: float(np.mean(list(one.values()))))
        return {MEASURE: float(np.mean(list(best.values()))), **best}

    def _text(self, row: int, span: Span) -> str:
        if row not in self._texts:
            content = self._bundle.passages.get([row])[0].content
            texts = self._groups.texts
            own = texts.encoder.own_spans(content)
            self._texts[row] = content, [own[place] for place in texts.places[texts.of(row)]]
        content, spans = self._texts[row]
        return content[spans[span.first][0] : spans[span.last][1]]
