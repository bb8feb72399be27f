"""Documents to passages: a short one whole, a longer one cut where the encoder's tokens say that it must be.

No passage is longer than the encoder reads, so that all of a document's text is searched: the tokens of the
whole text say where to cut, and the tokens of each passage by itself, whether it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

import numpy as np

from lurcher.bundle.passage import Passage, heading
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.split.breaks import levels_of
from lurcher.index_builder.split.fill import Filler
from lurcher.index_builder.split.source import Source, sources_of
from lurcher.index_builder.split.units import LONGEST, units_of
from lurcher.models.encoders.side_tokenizer import SideTokenizer

# The share of a passage's tokens that the next one has too, where nothing is said. On documentation of npm
# and Python packages 0.15 costs 4 % more tokens to encode, 0.05 saves as many.
OVERLAP = 0.1

# A text of more characters than this for each token that fits is cut without a look whether it fits whole.
_CHARACTERS = 16

# At most this share of what the encoder reads is a title with its section; more is cut, for the text's sake.
_HEADING = 1 / 3

# How many of a path's headings stand in a title, the innermost.
_DEEPEST = 6

_TEXTS = 512  # tokenised together

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Cut:
    """A passage to be: a part of a source, and its title and section, cut to what fits."""

    start: int
    end: int
    title: str
    section: tuple[str, ...]
    text: str

    @property
    def content(self) -> str:
        return f"{heading(self.title, self.section)} {self.text}".strip()


class Splitter:
    """Cuts documents into passages by the tokens of one encoder."""

    def __init__(
        self, tokenizer: SideTokenizer, window: int | None = None, overlap: int | None = None,
        url_prefix: str = "",
    ) -> None:  # fmt: skip
        """``window`` tokens of text are in a passage at most, None: as many as the encoder reads.

        Neighbouring passages share ``overlap`` tokens at most, None: ``OVERLAP`` of the window. With a
        ``url_prefix``, a passage has a link: that, the document's id and the anchor. Raises FieldError
        for a window that the encoder cannot read, and for an overlap that is no smaller.
        """
        self._tokenizer, self._url_prefix = tokenizer, url_prefix
        room = tokenizer.room
        self._around = tokenizer.config.max_tokens - room
        if window is not None and not 1 <= window <= room:
            raise FieldError(
                "window", f"{window} is not from 1 to {room}, the tokens that the encoder reads"
            )
        self.window = room if window is None else window
        self.overlap = int(OVERLAP * self.window) if overlap is None else overlap
        if not 0 <= self.overlap < self.window:
            raise FieldError(
                "overlap", f"{self.overlap} is not from 0 to below the window of {self.window}"
            )
        self._whole = window is None  # whether a text that fits together with its title stays whole
        self._fitted = lru_cache(4_096)(self._fit)

    def split(self, documents: Sequence[Document]) -> list[list[Passage]]:
        """The passages of each document, in the order of its text.

        One that fits whole keeps its id and text; others are called ``ID#1``, ``ID#2`` and so on.
        """
        sources = [source for document in documents for source in sources_of(document)]
        cuts: list[list[_Cut]] = []
        for some in _batches(sources):
            cuts += self._cut_all(some)
        places = iter(zip(sources, cuts, strict=True))
        found = []
        for document in documents:
            own = [next(places) for _ in range(max(len(document.parts), 1))]
            pairs = [(source, cut) for source, some in own for cut in some]
            found.append([
                self._passage(source, cut, number if len(pairs) > 1 else None)
                for number, (source, cut) in enumerate(pairs, 1)
            ])  # fmt: skip
        return found

    def fits(self, contents: Sequence[str]) -> list[bool]:
        """Whether the encoder reads all of each of ``contents``."""
        return [
            not one.truncated
            for some in _batches(contents)
            for one in self._tokenizer.tokenise(some)
        ]

    def _cut_all(self, sources: Sequence[Source]) -> list[list[_Cut]]:
        """The cuts of each source, each of which fits."""
        whole = [_whole(source) for source in sources]
        short = [i for i, source in enumerate(sources) if self._may_fit(source)]
        fit = self.fits([whole[i].content for i in short])
        fitting = {
            i for i, fits in zip(short, fit, strict=True)
            if fits and (self._whole or self._cost(whole[i]) <= self.window)
        }  # fmt: skip
        found = [
            [whole[i]] if i in fitting else list(self._cut(source)) or [self._title_only(source)]
            for i, source in enumerate(sources)
        ]
        self._halve(sources, found, [i for i in range(len(sources)) if i not in fitting])
        return found

    def _may_fit(self, source: Source) -> bool:
        return len(source.text) <= _CHARACTERS * self._tokenizer.config.max_tokens

    def _cost(self, cut: _Cut) -> int:
        """How many tokens the text of ``cut`` has."""
        return self._tokens(cut.text)

    def _halve(
        self, sources: Sequence[Source], cuts: list[list[_Cut]], which: Sequence[int]
    ) -> None:
        """Halve those of ``cuts`` of sources ``which`` that do not fit, until all do.

        A word that is cut may have more tokens than it had as part of the text.
        """
        while which:
            fits = iter(self.fits([cut.content for i in which for cut in cuts[i]]))
            again = []
            for i in which:
                before = cuts[i]
                cuts[i] = [
                    part
                    for cut in before
                    for part in ([cut] if next(fits) else self._halves(sources[i], cut))
                ]
                if len(cuts[i]) > len(before):
                    again.append(i)
            which = again

    def _halves(self, source: Source, cut: _Cut) -> list[_Cut]:
        """``cut`` in two at the blank nearest to its middle, or there; one if it is a single sign."""
        start, end, text = cut.start, cut.end, source.text
        middle = (start + end) // 2
        blank = text.rfind(" ", start + (end - start) // 4, middle)
        middle = blank + 1 if blank > 0 else middle
        if not start < middle < end:
            return [cut]
        return [*self._trimmed(source, start, middle), *self._trimmed(source, middle, end)]

    def _cut(self, source: Source) -> Iterator[_Cut]:
        """Passages of a source that does not fit whole."""
        text = source.text
        units = units_of(text, self._tokenizer.all_spans)
        levels = levels_of(text, units, source.starts)
        blocks = [tuple(np.searchsorted(units.starts, block).tolist()) for block in source.blocks]

        def window(unit: int) -> int:
            start = int(units.starts[unit])
            _, _, cost = self._fitted(source.title, source.path(start, start + 1))
            return max(min(self.window, self._tokenizer.room - cost), 1)

        filler = Filler(units, levels, blocks, window, self.overlap, LONGEST * self.window)
        for first, end in filler.passages():
            yield from self._trimmed(source, int(units.starts[first]), int(units.starts[end]))

    def _trimmed(self, source: Source, start: int, end: int) -> Iterator[_Cut]:
        """The cut from ``start`` to ``end`` without the blanks around it; none if there is nothing else."""
        whole = source.text[start:end]
        text = whole.strip()
        if text:
            start += len(whole) - len(whole.lstrip())
            end = start + len(text)
            title, section, _ = self._fitted(source.title, source.path(start, end))
            yield _Cut(start, end, title, section, text)

    def _title_only(self, source: Source) -> _Cut:
        """The passage of a source whose title is too long, and that has no text."""
        title, section, _ = self._fitted(source.title, source.path(0, 0))
        return _Cut(0, 0, title, section, "")

    def _fit(self, title: str, section: tuple[str, ...]) -> tuple[str, tuple[str, ...], int]:
        """Title and section, each of their headings cut if all take too much room, and their tokens."""
        most = int(_HEADING * self._tokenizer.room)
        cost = self._tokens(heading(title, section))
        if cost > most:
            section = section[-_DEEPEST:]
            each = max(most // (len(section) + 1) - 2, 1)  # two for what stands between them
            title, *below = (self._shortened(one, each) for one in (title, *section))
            section = tuple(below)
            cost = self._tokens(heading(title, section))
        return title, section, cost

    def _tokens(self, text: str) -> int:
        """How many tokens ``text`` has, at most ``room``."""
        (tokens,) = self._tokenizer.tokenise([text])
        return len(tokens.ids) - self._around

    def _shortened(self, text: str, most: int) -> str:
        """The first ``most`` tokens of ``text``, with an ellipsis if that is not all."""
        start = text[: LONGEST * most]
        (spans,) = self._tokenizer.all_spans([start])
        end = spans[most - 1][1] if len(spans) > most else len(start)
        return text if end >= len(text) else f"{text[:end].rstrip()}…"

    def _passage(self, source: Source, cut: _Cut, number: int | None) -> Passage:
        document = source.document
        start, end = source.span(cut.start, cut.end)
        anchor = source.anchor(cut.start)
        url = ""
        if self._url_prefix:
            url = self._url_prefix + quote(document.id) + (f"#{quote(anchor)}" if anchor else "")
        return Passage(
            document.id if number is None else f"{document.id}#{number}",
            cut.text, cut.title, document.metadata, document.id, cut.section, start, end, anchor,
            url,
        )  # fmt: skip


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), _TEXTS):
        yield items[first : first + _TEXTS]


def _whole(source: Source) -> _Cut:
    end = len(source.text)
    return _Cut(0, end, source.title, source.path(0, end), source.text)
