"""Terms in the order of their bytes, as they lie in a file: where each stands (see ``lexical_files``)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lurcher.bundle.jagged import JaggedStore

# One term in so many is in memory.
_SAMPLED = 64
# A small vocabulary is in memory as a whole: a query looks its terms up in every segment.
_SMALL = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The places of terms; safe to share between threads."""

    terms: JaggedStore
    # For bisection, because single items of a memoryview come in a tenth of an array's time.
    _letters: memoryview
    _ends: memoryview  # where each term begins, and where the last ends
    _sampled: list[bytes]  # every 64th term
    _all: dict[bytes, int] | None  # of a small one

    @classmethod
    def of(cls, terms: JaggedStore, small: int = _SMALL) -> Vocabulary:
        """That of ``terms``, whose one column has their bytes; up to ``small`` of them are kept in memory."""
        letters, ends = terms.columns[0].data, terms.starts.data
        count = len(ends) - 1
        sampled = [
            bytes(letters[ends[place] : ends[place + 1]]) for place in range(0, count, _SAMPLED)
        ]
        known: dict[bytes, int] | None = None
        if count <= small:
            whole, bounds = bytes(letters), ends.tolist()
            known = {whole[bounds[i] : bounds[i + 1]]: i for i in range(count)}
        return cls(terms, letters, ends, sampled, known)

    def __len__(self) -> int:
        """How many terms there are."""
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[bytes]:
        """All terms, in order."""
        return (self._term(place) for place in range(len(self)))

    def places(self, terms: Sequence[bytes]) -> list[int]:
        """The place of each of ``terms``, -1 for those that are not there."""
        if self._all is None:
            return [self.place(term) for term in terms]
        get = self._all.get
        return [get(term, -1) for term in terms]

    def place(self, term: bytes) -> int:
        """The place of ``term``, -1 if it is not there."""
        if self._all is not None:
            return self._all.get(term, -1)
        block = bisect_left(self._sampled, term)
        if block < len(self._sampled) and self._sampled[block] == term:
            return block * _SAMPLED
        first, end = max(0, block - 1) * _SAMPLED, min(block * _SAMPLED, len(self))
        place = bisect_left(range(end), term, first, key=self._term)
        return place if place < end and self._term(place) == term else -1

    def _term(self, place: int) -> bytes:
        return bytes(self._letters[self._ends[place] : self._ends[place + 1]])


def encoded(word: str) -> bytes:
    """``word`` as a vocabulary has it: half a character is in none, and no error."""
    return word.encode(errors="surrogatepass")
