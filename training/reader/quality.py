"""How well a reader reads: exact match and F1 on the passages that answer development questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answer_measures import exact_match, f1
from lurcher.models.reader.spans import best_spans
from lurcher.training.ranker.questions import Judged
from lurcher.training.reader.batches import Library
from lurcher.training.reader.network import Reader
from lurcher.training.reader.span_training import in_bfloat16

# Codes an answer: 99 in 100 of SQuAD's are shorter.
LONGEST = 24
_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """Development questions: their passages, and their right answers."""

    library: Library
    contents: list[str]
    spans: list[list[tuple[int, int]]]  # of the passages' codes, in code points
    answers: list[list[str]]

    @classmethod
    def of(
        cls, bundle: Bundle, library: Library, judged: Judged, answers: dict[str, list[str]]
    ) -> Reading:
        """The questions of ``library``, which are of ``judged``."""
        encoder, found = library.texts.encoder, library.answered
        passages = bundle.passages.get(found.rows.tolist())
        spans = []
        for row, passage in zip(found.rows.tolist(), passages, strict=True):
            own = encoder.own_spans(passage.content)
            spans.append([own[place] for place in library.texts.places[library.texts.of(row)]])
        ids = [judged.ids[int(library.questions.kept[one])] for one in found.questions]
        right = [answers[id_] for id_ in ids]
        return cls(library, [passage.content for passage in passages], spans, right)

    def logits(self, reader: Reader) -> list[np.ndarray]:
        """Of starts and ends (M, 2), for each question's own passage."""
        found = self.library.answered
        logits: list[np.ndarray] = [np.zeros((0, 2), np.float32)] * len(found)
        order = np.argsort(self.library.lengths(), kind="stable")
        for first in range(0, len(order), _TOGETHER):
            some = order[first : first + _TOGETHER]
            pairs = [(int(one), int(found.rows[one])) for one in some]
            groups, answers = np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)
            batch = self.library.batch(pairs, groups, answers).to(reader.device)
            with torch.inference_mode(), in_bfloat16(reader.device):
                read = batch.logits(reader).float().cpu().numpy()
            for place, one in enumerate(some.tolist()):
                logits[one] = read[place, : len(self.spans[one])]
        return logits

    def quality(self, reader: Reader) -> dict[str, float]:
        """Exact match and F1, 0 to 1."""
        exact, overlap = [], []
        for number, logits in enumerate(self.logits(reader)):
            best = best_spans(logits, np.array([len(logits)]), np.zeros(1, np.float32), LONGEST, 1)
            text = ""
            if best:
                own = self.spans[number]
                text = self.contents[number][own[best[0].first][0] : own[best[0].last][1]]
            exact.append(exact_match(text, self.answers[number]))
            overlap.append(f1(text, self.answers[number]))
        return {"EM": float(np.mean(exact)), "F1": float(np.mean(overlap))}
