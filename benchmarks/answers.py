"""``lurcher eval --answers``: how often a bundle or a server answers right, and knows it.

EM and F1 as SQuAD's official scripts count them (evaluation.answers): a question that nothing answers is
answered right by no answer. Beside them how many questions were answered at all, how often those that have
no answer were not, and how far the answers' probabilities are from how often they are right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np

from lurcher.benchmarks.evaluate import Evaluation
from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answers import calibration_error, exact_match, f1
from lurcher.evaluation.measures import Figure, interval
from lurcher.models.errors import FieldError, InputError, LurcherError, ServiceError
from lurcher.retrieval.answering import Question
from lurcher.retrieval.pipeline import Pipeline
from lurcher.retrieval.reading import NO_READER
from lurcher.retrieval.searching import RankMode

_BATCH = 16

# What is answered, and how probable it is to be right; None for nothing.
Said = tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are asked; None: as the target does by itself."""

    passages: int = 10
    min_score: float | None = None
    rank: RankMode = "auto"


class Answerer(Protocol):
    """Something that answers questions."""

    name: str

    def answer(self, questions: Sequence[str]) -> Iterator[Said]:
        """The best answer to each."""


class BundleAnswerer:
    """A bundle, asked in this process by the server's own pipeline."""

    def __init__(self, path: Path, asking: Asking) -> None:
        self._asking = asking
        self._bundle = Bundle.open(path)
        if self._bundle.manifest.reader is None:
            self._bundle.close()
            raise FieldError("answers", NO_READER)
        self._pipeline = Pipeline(self._bundle)
        self.name = self._bundle.manifest.name

    def answer(self, questions: Sequence[str]) -> Iterator[Said]:
        """The best answer to each."""
        asking = self._asking
        for start in range(0, len(questions), _BATCH):
            batch = [
                Question(
                    text, asking.passages, rank=asking.rank, answers=1, min_score=asking.min_score
                )
                for text in questions[start : start + _BATCH]
            ]
            for result in self._pipeline.run(batch):
                if isinstance(result, LurcherError):
                    raise result
                best = result.answers[0] if result.answers else None
                yield None if best is None else (best.text, best.score)

    def close(self) -> None:
        """Close the bundle."""
        self._bundle.close()


class ServerAnswerer:
    """A running server, asked over HTTP by ``/v1/answer``."""

    def __init__(self, url: str, asking: Asking) -> None:
        self._asking = {name: value for name, value in asdict(asking).items() if value is not None}
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=60)
        self.name = url

    def answer(self, questions: Sequence[str]) -> Iterator[Said]:
        """The best answer to each. Raises ServiceError."""
        for text in questions:
            try:
                reply = self._client.post(
                    "/v1/answer", json={"query": text, "top_k": 1, **self._asking}
                )
            except httpx.HTTPError as error:
                raise ServiceError(f"{self.name}: {error}") from error
            if reply.status_code != httpx.codes.OK:
                raise ServiceError(f"{self.name} answered {reply.status_code}: {reply.text[:500]}")
            found = reply.json()["answers"]
            yield (found[0]["text"], found[0]["score"]) if found else None

    def close(self) -> None:
        """Hang up."""
        self._client.close()


@contextmanager
def open_answerer(target: str, asking: Asking) -> Iterator[Answerer]:
    """An answerer of ``target``, a URL or the path of a bundle, for the time of the block."""
    over_http = target.startswith(("http://", "https://"))
    with closing(
        ServerAnswerer(target, asking) if over_http else BundleAnswerer(Path(target), asking)
    ) as answerer:
        yield answerer


def evaluate_answers(
    answerer: Answerer,
    questions: dict[str, str],
    answers: dict[str, list[str]],
    limit: int | None = None,
) -> Evaluation:
    """How well ``answerer`` answers the first ``limit`` of the ``questions`` whose ``answers`` are known.

    Raises InputError where there are none.
    """
    asked = [id_ for id_ in questions if id_ in answers][:limit]
    if not asked:
        raise InputError("none of the queries lists its answers")
    said = list(answerer.answer([questions[id_] for id_ in asked]))
    texts = ["" if one is None else one[0] for one in said]
    golds = [answers[id_] for id_ in asked]
    exact = np.array([exact_match(text, gold) for text, gold in zip(texts, golds, strict=True)])
    overlap = np.array([f1(text, gold) for text, gold in zip(texts, golds, strict=True)])
    silent = np.array([one is None for one in said])
    hopeless = np.array([not gold for gold in golds])
    figures = {"EM": interval(exact), "F1": interval(overlap), "answered": interval(1.0 * ~silent)}
    if hopeless.any():
        figures["no answer where none is"] = interval(1.0 * silent[hopeless])
    if not silent.all():
        scores = np.array([one[1] for one in said if one is not None])
        error = calibration_error(scores, exact[~silent])
        figures["calibration error"] = Figure(error, error, error)
    return Evaluation(answerer.name, len(asked), figures)
