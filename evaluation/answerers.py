"""One way to put questions to a bundle on disk or a server at a URL: texts in, the best answers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import lurcher
from lurcher.evaluation.remote import Remote, check_engine, is_url
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import RankMode, RetrieveMode


class Answer(NamedTuple):
    """An answer, and how probable it is to be right, within [0, 1]."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How questions are answered; ``min_score`` None: as the target does by default."""

    read_depth: int = 10
    min_score: float | None = None
    rank: RankMode = "auto"
    retrieve: RetrieveMode = "auto"


class Answerer(Protocol):
    """Something that answers questions."""

    name: str

    def answer(self, questions: Sequence[str]) -> Iterator[Answer | None]:
        """The best answer to each, or None."""


class BundleAnswerer:
    """A bundle, read in this process."""

    def __init__(self, path: Path, options: AnswerOptions, engine: EngineName = "auto") -> None:
        self._options = options
        self._collection = lurcher.open(path, engine=engine)
        self.name = self._collection.manifest.name

    def answer(self, questions: Sequence[str]) -> Iterator[Answer | None]:
        """The best answer to each, or None. Raises LurcherError if one fails."""
        for text in questions:
            answers = self._collection.answer(text, 1, **asdict(self._options)).answers
            yield Answer(answers[0].text, answers[0].score) if answers else None

    def close(self) -> None:
        """Close the bundle."""
        self._collection.close()


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
def open_answerer(
    target: str, options: AnswerOptions, engine: EngineName = "auto"
) -> Iterator[Answerer]:
    """An answerer of ``target``, a URL or the path of a bundle, open for the time of the block.

    ``engine`` is that of a bundle. Raises FieldError for one with a URL.
    """
    check_engine(target, engine)
    with closing(
        ServerAnswerer(target, options)
        if is_url(target)
        else BundleAnswerer(Path(target), options, engine)
    ) as answerer:
        yield answerer
