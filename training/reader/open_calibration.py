"""What a reader's answers are worth, by questions of several kinds over all passages.

All of the evidence is weighed (``models.reader.evidence``). How far its weights carry is measured by fitting
them to all kinds of questions but one, in turn, and counting the calibration error on the one left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answer_calibration import fit, threshold
from lurcher.evaluation.answer_measures import calibration_error, exact_match, f1
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.evidence import Evidence, Weighed
from lurcher.models.reader.reader import READER_FILE, Reader, ReaderConfig
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import ReadOptions
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.stages.read import answers_in
from lurcher.training.reader.groups import Source
from lurcher.training.reader.reliability import write_reliability

Doubles = npt.NDArray[np.float64]

# Passages that are read for a question, as a server does.
DEPTH = 10
# Of a hit's score beside logits; scores are cosines, logits some tens.
_WEIGHTS = (10.0, 20.0, 40.0, 60.0)
_RIDGE = 2.0
# What has a weight besides the odds. These two carry best to a kind of question that was left out:
# the rival, the search's score and whether it reads like a question add nothing to them.
USED: tuple[Weighed, ...] = ("margin", "agreement")


@dataclass(frozen=True, slots=True)
class Judged:
    """The best answers to questions of one kind, by weight of the search's score."""

    kind: str
    evidence: dict[float, Doubles]  # (n, f) each, odds first
    exact: dict[float, Doubles]  # (n,)
    overlap: dict[float, Doubles]  # (n,) F1


def judge(bundle: Bundle, reader: Reader, encoder: Encoder, source: Source) -> Judged:
    """What ``reader`` answers to the questions of ``source``, whose passages are those of ``bundle``."""
    assert bundle.reading is not None and bundle.tokens is not None  # noqa: S101 PT018 (it was built with)
    passages = PassageReader(reader, bundle.reading, bundle.tokens.coder, bundle.passages, encoder)
    evidence: dict[float, list[Evidence]] = {weight: [] for weight in _WEIGHTS}
    exact: dict[float, list[float]] = {weight: [] for weight in _WEIGHTS}
    overlap: dict[float, list[float]] = {weight: [] for weight in _WEIGHTS}
    options = ReadOptions(1, 0.0)
    for number, text in enumerate(source.asked.texts):
        rows = source.found.rows[number, :DEPTH]
        rows, scores = rows[rows >= 0], source.found.scores[number, :DEPTH]
        (tokens,) = encoder.tokenise([text])
        found = passages.read(passages.query(encoder, tokens), rows)
        read = {place: found[row] for place, row in enumerate(rows.tolist()) if row in found}
        for weight in _WEIGHTS:
            config = reader.config.model_copy(update={"rank_weight": weight})
            for one in answers_in(config, options, read, scores, is_question(text)):
                if one.evidence is not None:
                    evidence[weight].append(one.evidence)
                    exact[weight].append(exact_match(one.text, source.asked.answers[number]))
                    overlap[weight].append(f1(one.text, source.asked.answers[number]))
    return Judged(
        source.name,
        {weight: np.array(found, np.float64) for weight, found in evidence.items()},
        {weight: np.array(found) for weight, found in exact.items()},
        {weight: np.array(found) for weight, found in overlap.items()},
    )


def calibrated(
    config: ReaderConfig, kinds: Sequence[Judged]
) -> tuple[ReaderConfig, Doubles, Doubles]:
    """``config`` with the weights of all evidence, and of ``kinds`` the probabilities and what is right.

    Of a search's score it takes the weight with which the kinds, each counting the same, are answered best.
    """

    def exact_with(weight: float) -> float:
        return float(np.mean([one.exact[weight].mean() for one in kinds]))

    weight = max(_WEIGHTS, key=exact_with)
    x = [_columns(one.evidence[weight]) for one in kinds]
    right = [one.exact[weight] for one in kinds]
    w = _fit(np.concatenate(x), np.concatenate(right))
    scores = _probabilities(np.concatenate(x) @ w)
    figures = {}
    for place, one in enumerate(kinds):
        figures[f"{one.kind}_EM"] = float(one.exact[weight].mean())
        figures[f"{one.kind}_F1"] = float(one.overlap[weight].mean())
        if len(kinds) > 1:
            others = [i for i in range(len(kinds)) if i != place]
            apart = _fit(
                np.concatenate([x[i] for i in others]), np.concatenate([right[i] for i in others])
            )
            error = calibration_error(_probabilities(x[place] @ apart), right[place])
            figures[f"{one.kind}_calibration_error_left_out"] = error
    together = np.concatenate(right)
    figures["calibration_error"] = calibration_error(scores, together)
    weights = dict(zip(USED, w[1:-1].tolist(), strict=True))
    made = config.model_copy(
        update={
            "rank_weight": weight, "slope": round(float(w[0]), 4), "offset": round(float(w[-1]), 4),
            "weights": {name: round(value, 4) for name, value in weights.items()},
            "min_score": threshold(scores, together), "calibrated_by": "training",
            "calibrated_on": f"{len(together):,} questions of {', '.join(one.kind for one in kinds)}",
            "figures": {name: round(value, 4) for name, value in figures.items()},
        }
    )  # fmt: skip
    return made, scores, together


def _columns(evidence: Doubles) -> Doubles:
    """What has a weight (n, f): the odds, what else is used, and a one."""
    names = list(Evidence._fields)
    used = [0, *(names.index(name) for name in USED)]
    return np.concatenate([evidence[:, used], np.ones((len(evidence), 1))], axis=1)


def _fit(x: Doubles, right: Doubles) -> Doubles:
    prior = np.zeros(x.shape[1])
    prior[0] = 1.0
    w = fit(x, right, prior, _RIDGE)
    w[0] = max(w[0], 1e-3)
    return w


def _probabilities(logits: Doubles) -> Doubles:
    return np.exp(-np.logaddexp(0, -logits))


def write_calibration(folder: Path, kinds: Sequence[Judged]) -> ReaderConfig:
    """What the reader in ``folder`` says of itself from now on, after what ``kinds`` show."""
    config, scores, right = calibrated(Reader.load(folder, 1).config, kinds)
    (folder / READER_FILE).write_text(config.model_dump_json(indent=2) + "\n")
    write_reliability(scores, right, folder / "reliability.svg")
    return config
