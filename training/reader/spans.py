"""Which tokens of which passage answer a question, and which passages hold no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.errors import CorpusError
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.reader import Reader
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.models.tokens.passages import informative_tokens
from lurcher.training.ranker.questions import Judged, Questions

_CHUNK = 1_024


class Texts:
    """The tokens of a bundle's passages: places among their own ones and ids, as a reader gets them."""

    def __init__(self, bundle: Bundle) -> None:
        if bundle.tokens is None:
            raise ValueError("a bundle without tokens has no reading store, either")
        encoder = self.encoder = Encoder.load(bundle.path / ENCODER, "passage", 1)
        coder, passages = bundle.tokens.coder, bundle.passages
        places, ids = [], []
        for first in range(0, passages.count, _CHUNK):
            rows = range(first, min(first + _CHUNK, passages.count))
            tokens = encoder.tokenise([one.content for one in passages.get(rows)])
            for positions, own in informative_tokens(encoder, coder, tokens):
                places.append(positions)
                ids.append(own)
        self.places, self.ids = np.concatenate(places), np.concatenate(ids)
        self.starts = np.concatenate([[0], np.cumsum([len(one) for one in places])])

    def of(self, row: int) -> slice:
        """Where the tokens of the passage ``row`` are in ``places`` and ``ids``."""
        return slice(int(self.starts[row]), int(self.starts[row + 1]))

    def read(
        self, reader: Reader, store: ReadingStore, rows: Rows, query: Vectors, weights: Vectors
    ) -> tuple[Vectors, Integers]:
        """The logits (n, 2) of the passages ``rows`` (C,), and how many tokens each has, (C,).

        ``query`` (L, d) and ``weights`` (L,) are of a question's tokens, among those that are decoded.
        """
        owns = [self.of(row) for row in rows.tolist()]
        ids, places = (
            np.concatenate([part[own] for own in owns]) for part in (self.ids, self.places)
        )
        codes, counts = store.gather(rows)
        return reader.logits(query, weights, store.coder.decode(codes, ids), places, counts), counts


@dataclass(frozen=True, slots=True)
class Answered:
    """Of n questions the passage that answers each, and where.

    ``first`` and ``last`` count the codes of the passage ``rows``; ``wrong`` (n, K) are rows of passages that
    were found, too, and hold none of the question's answers; -1 where there are fewer.
    """

    questions: Rows  # (n,) numbers of the Questions they are
    rows: Rows  # (n,)
    first: Integers  # (n,)
    last: Integers  # (n,)
    wrong: Rows  # (n, K)

    def __len__(self) -> int:
        return len(self.questions)


def locate(
    bundle: Bundle,
    texts: Texts,
    judged: Judged,
    questions: Questions,
    answers: dict[str, list[str]],
) -> Answered:
    """Where the first of the ``answers`` of each question stands in a passage that is judged to answer it.

    Questions whose answer is not found there, or lies beyond what the encoder reads, are left out. Raises
    CorpusError where none is left.
    """
    needed = np.unique(np.concatenate([questions.relevant, questions.rows[questions.rows >= 0]]))
    passages = dict(zip(needed.tolist(), bundle.passages.get(needed.tolist()), strict=True))
    folded = {row: passage.content.casefold() for row, passage in passages.items()}
    spans: dict[int, Sequence[tuple[int, int]]] = {}
    found: list[tuple[int, int, int, int]] = []
    wrong: list[Rows] = []
    for question in range(len(questions)):
        own = answers.get(judged.ids[int(questions.kept[question])], [])
        right = questions.relevant[questions.answers(question)].tolist()
        for row in right if own else []:
            if row not in spans:
                spans[row] = texts.encoder.own_spans(passages[row].content)
            span = span_of(passages[row], spans[row], own[0])
            places = texts.places[texts.of(row)]
            if span is None:
                continue
            inside = np.flatnonzero((places >= span[0]) & (places <= span[1]))
            if len(inside):
                found.append((question, row, int(inside[0]), int(inside[-1])))
                wanted = [answer.casefold() for answer in own]
                others = [
                    other
                    for other in questions.rows[question].tolist()
                    if other >= 0
                    and other not in right
                    and not any(one in folded[other] for one in wanted)
                ]
                row_of_wrong = np.full(questions.rows.shape[1], -1)
                row_of_wrong[: len(others)] = others
                wrong.append(row_of_wrong)
                break
    if not found:
        reason = "no answer of its queries stands in a passage that is judged to answer it"
        raise CorpusError(bundle.path, None, reason)
    columns = np.array(found, np.int64).T
    return Answered(columns[0], columns[1], columns[2], columns[3], np.stack(wrong))


def span_of(
    passage: Passage, spans: Sequence[tuple[int, int]], answer: str
) -> tuple[int, int] | None:
    """The first and last own token of ``answer`` in ``passage``, whose own tokens stand at ``spans``.

    It is looked for in the text, then in the title: where it is not part of a longer word, else anywhere.
    """
    heading = passage.heading
    whole = f"{heading} {passage.text}"
    stripped = len(whole) - len(whole.lstrip())
    before = len(heading) + 1 - stripped
    content = passage.content
    starts = {start: place for place, (start, _) in enumerate(spans)}
    ends = {end: place for place, (_, end) in enumerate(spans)}
    for low, high in ((max(before, 0), len(content)), (0, max(before, 0))):
        anywhere = None
        at = content.find(answer, low, high)
        while at >= 0 and answer:
            first, last = starts.get(at), ends.get(at + len(answer))
            if first is not None and last is not None and _alone(content, at, answer):
                return first, last
            anywhere = at if anywhere is None else anywhere
            at = content.find(answer, at + 1, high)
        if anywhere is not None:
            touched = [
                place
                for place, (start, end) in enumerate(spans)
                if start < anywhere + len(answer) and end > anywhere
            ]
            if touched:
                return touched[0], touched[-1]
    return None


def _alone(content: str, at: int, answer: str) -> bool:
    """Whether the ``answer`` that stands ``at`` is no part of a longer word."""
    end = at + len(answer)
    before, after = content[at - 1 : at] if at else "", content[end : end + 1]
    return not (before.isalnum() and answer[0].isalnum()) and not (
        after.isalnum() and answer[-1].isalnum()
    )
