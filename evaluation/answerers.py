"""One way to put questions to a bundle on disk or a server at a URL: texts in, the best answers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.remote import Remote, is_url
from lurcher.models.errors import FieldError, LurcherError
from lurcher.retrieval.answering import Question
from lurcher.retrieval.pipeline import Pipeline
from lurcher.retrieval.reading import NO_READER
from lurcher.retrieval.searching import RankMode

_BATCH = 16


class Answer(NamedTuple):
    """An answer, and how probable it is to be right, within [0, 1]."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How questions are answered; ``min_score`` None: as the target does by default."""

    passages: int = 10
    min_score: float | None = None
    rank: RankMode = "auto"


class Answerer(Protocol):
    """Something that answers questions."""

    name: str

    def answer(self, questions: Sequence[str]) -> Iterator[Answer | None]:
        """The best answer to each, or None."""


class BundleAnswerer:
    """A bundle, read in this process by the server's own pipeline."""

    def __init__(self, path: Path, options: AnswerOptions) -> None:
        self._options = options
        self._bundle = Bundle.open(path)
        if self._bundle.manifest.reader is None:
            self._bundle.close()
            raise FieldError("answers", NO_READER)
        self._pipeline = Pipeline(self._bundle)
        self.name = self._bundle.manifest.name

    def answer(self, questions: Sequence[str]) -> Iterator[Answer | None]:
        """The best answer to each, or None. Raises LurcherError if one fails."""
        options = self._options
        for start in range(0, len(questions), _BATCH):
            batch = [
                Question(
                    text,
                    options.passages,
                    rank=options.rank,
                    answers=1,
                    min_score=options.min_score,
                )
                for text in questions[start : start + _BATCH]
            ]
            for result in self._pipeline.run(batch):
                if isinstance(result, LurcherError):
                    raise result
                best = result.answers[0] if result.answers else None
                yield None if best is None else Answer(best.text, best.score)

    def close(self) -> None:
        """Close the bundle."""
        self._bundle.close()


class ServerAnswerer:
    """A running server, reached by ``/v1/answer``."""

    def __init__(self, url: str, options: AnswerOptions) -> None:
        self._options = {
            name: value for name, value in asdict(options).items() if value is not None
        }
        self._remote = Remote(url)
        self.name = url

    def answer(self, questions: Sequence[str]) -> Iterator[Answer | None]:
        """The best answer to each, or None. Raises ServiceError."""
        for text in questions:
            body = {"query": text, "top_k": 1, **self._options}
            answers = self._remote.post("/v1/answer", body)["answers"]
            yield Answer(answers[0]["text"], answers[0]["score"]) if answers else None

    def close(self) -> None:
        """Close the connection."""
        self._remote.close()


@contextmanager
def open_answerer(target: str, options: AnswerOptions) -> Iterator[Answerer]:
    """An answerer of ``target``, a URL or the path of a bundle, open for the time of the block."""
    with closing(
        ServerAnswerer(target, options) if is_url(target) else BundleAnswerer(Path(target), options)
    ) as answerer:
        yield answerer
