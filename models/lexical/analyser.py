"""Text to terms: what the lexical index holds, what it is asked for, and what highlights compare.

A text is cut at white space, and each piece is analysed by itself and remembered: most pieces of a language
come again. A piece has words, stemmed in the analyser's language; an identifier also has the whole of it, as
written, and its parts. All of it is compared folded (``lurcher.folding``).

docs/lexical.md shows examples.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import Stemmer

from lurcher.folding import WORD, folded
from lurcher.models.lexical.languages import Language, function_words
from lurcher.models.lexical.names import parts_of_names, words_and_names
from lurcher.text import UNSPACED

# Whoever stores terms stores this number with them, and compares: it rises when the same text becomes other
# terms, here, in the folding, in a list of function words or in Snowball.
ANALYSER_VERSION = 1

# In code points. A longer term, such as a URL or an encoded image, is cut, with a hash of all of it.
MAX_TERM = 64
_KEPT_OF_LONG = MAX_TERM - 17

# What is compared by pairs of signs: scripts without blanks, and Hangul, which writes particles and the parts
# of a compound on to a word (as Lucene's CJKBigramFilter does).
_PAIRED = UNSPACED + "\uac00-\ud7a3"
_RUN = re.compile(rf"[{_PAIRED}]+|[^{_PAIRED}]+")
_PAIRED_SIGN = re.compile(f"[{_PAIRED}]")
# From here on one of them can be a word: Han, kana, Hangul. Before are alphabets.
_IDEOGRAPHS = "\u3005"

# What an apostrophe ties to a word: "it's", "don't", "I'm"; "l'eau", "qu'il".
_TIED = re.compile(r"(?<=\w)['’](?:[stdm]|ll|re|ve)(?!\w)|(?<!\w)(?:[cdjlmnst]|qu)['’](?=\w)")
# Hyphen and minus sign, which compatibility forms leave.
_DASHES = {0x2010: "-", 0x2212: "-"}

# Remembered pieces, about 400 bytes each: seven in eight pieces of Wikipedia are found there.
_REMEMBERED = 1 << 15


@dataclass(frozen=True)
class Terms:
    """The terms of a text, in order and with repeats."""

    words: list[str]
    """A term for each word; of scripts without blanks, and Hangul, for each two neighbouring signs. They
    are the text's length."""
    extra: list[str]
    """What else the text is found by: whole identifiers, their parts, single signs."""


class _Analysed(NamedTuple):
    """The terms of one piece of text without white space."""

    words: tuple[str, ...]
    extra: tuple[str, ...]
    # Of a query, with function words and without.
    asked: tuple[str, ...]
    telling: tuple[str, ...]


class Analyser:
    """Text to terms, in one language. Safe to share between threads."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._function_words = function_words(language)
        self._stem = _stemmer(language)
        self._remembered = lru_cache(_REMEMBERED)(self._analyse)

    def terms(self, text: str) -> Terms:
        """The terms of a passage's ``text``. Linear in its length."""
        words: list[str] = []
        extra: list[str] = []
        for piece in self._pieces(text):
            words += piece.words
            extra += piece.extra
        return Terms(words, extra)

    def query_terms(self, text: str) -> list[str]:
        """The distinct terms of a query's ``text``, in order of first appearance.

        Function words are left out, unless there is nothing else. Each is among ``terms(text)``.
        """
        pieces = list(self._pieces(text))
        telling = dict.fromkeys(term for piece in pieces for term in piece.telling)
        return list(telling or dict.fromkeys(term for piece in pieces for term in piece.asked))

    def _pieces(self, text: str) -> Iterator[_Analysed]:
        remembered, analyse = self._remembered, self._analyse
        for piece in text.split():
            yield remembered(piece) if len(piece) <= MAX_TERM else analyse(piece)

    def _analyse(self, piece: str) -> _Analysed:
        """The terms of ``piece``, which has no white space in it."""
        word = piece.strip('",;:!?()[]').rstrip(".")
        if (
            word.isascii()
            and word.isalpha()
            and (word.islower() or word.istitle() or word.isupper())
        ):
            word = word.lower()
            stem = (self._term(word),)
            return _Analysed(stem, (), stem, stem if self._tells(word) else ())
        plain = folded(piece)
        if not piece.isascii():
            plain = plain.translate(_DASHES)
        if "'" in plain or "’" in plain:
            plain = _TIED.sub("", plain)
        words: list[str] = []
        names: list[str] = []
        singles: list[str] = []
        for run in [plain] if plain.isascii() else _RUN.findall(plain):
            if _PAIRED_SIGN.match(run):
                for word in WORD.findall(run):
                    words += map("".join, pairwise(word)) if len(word) > 1 else [word]
                    singles += (
                        [sign for sign in word if sign >= _IDEOGRAPHS] if len(word) > 1 else []
                    )
                continue
            found, named = words_and_names(run)
            words += found
            names += named
        runs = [piece] if piece.isascii() else _RUN.findall(piece)
        parts = [part for run in runs for part in parts_of_names(run)]
        return self._analysed(words, names, parts, singles)

    def _analysed(
        self, words: list[str], names: list[str], parts: list[str], singles: list[str]
    ) -> _Analysed:
        """The terms of a piece with these folded ``words``, names as they are, parts and single signs."""
        stems = [self._term(word) for word in words]
        extra = dict.fromkeys(map(_clipped, names))
        telling = [stem for word, stem in zip(words, stems, strict=True) if self._tells(word)]
        telling += extra
        for part in parts:
            term = self._term(part)
            if term not in extra and term not in stems:
                extra[term] = None
                telling += [term] if self._tells(part) else []
        return _Analysed(
            tuple(stems), (*extra, *dict.fromkeys(singles)), (*stems, *extra), tuple(telling)
        )

    def _tells(self, word: str) -> bool:
        return word not in self._function_words

    def _term(self, word: str) -> str:
        return _clipped(word) if len(word) > MAX_TERM else self._stem(word)


def is_paired(term: str) -> bool:
    """Whether ``term`` is a sign, or two, of a script without blanks or of Hangul."""
    return _PAIRED_SIGN.match(term) is not None


def _stemmer(language: Language) -> Callable[[str], str]:
    """What stems a word of ``language``; for "none" what returns it as it is."""
    if language == "none":
        return str
    stemmer = Stemmer.Stemmer(language, 0)  # no cache of its own, which would be a second one
    lock = Lock()  # a stemmer has one buffer, in which it shortens a word

    def stem(word: str) -> str:
        with lock:
            return str(stemmer.stemWord(word))

    return stem


def _clipped(term: str) -> str:
    """``term``, or if it is longer than MAX_TERM, its beginning and a hash of all of it."""
    if len(term) <= MAX_TERM:
        return term
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{term[:_KEPT_OF_LONG]}~{digest}"
