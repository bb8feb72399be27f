"""Languages that words are stemmed in, and how one is found.

Each has a Snowball stemmer and a list of function words (articles, pronouns, prepositions, conjunctions,
auxiliaries, question words), which lies beside this module in ``function_words/NAME.txt``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from lurcher.errors import FieldError
from lurcher.folding import WORD, folded

Language = Literal[
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hindi",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "turkish", "none",
]  # fmt: skip
LANGUAGES: tuple[Language, ...] = get_args(Language)

# ISO 639-1.
_CODES: dict[str, Language] = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian", "nb": "norwegian",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip

# A text has a language if at least this share of its words are function words of it: most texts have twice as
# many, and code and lists of names half as many, or fewer.
_LEAST_SHARE = 0.2
# These write on to a word what others say by a word of its own.
_LEAST_SHARE_OF: dict[Language, float] = dict.fromkeys(
    ("arabic", "finnish", "hungarian", "turkish"), 0.1
)
# With fewer words than this a text does not tell.
_LEAST_WORDS = 8
# A corpus has a language if at least this share of its words stands in texts of it.
_CLEAR = 0.8
_READ_CHARS = 2_000


def parse_language(text: str) -> Language:
    """The language that ``text`` names, in English or by its ISO 639-1 code, in any case.

    Raises ``FieldError`` with all names if it is none of them.
    """
    name = text.strip().lower()
    for language in LANGUAGES:
        if name == language:
            return language
    if name in _CODES:
        return _CODES[name]
    raise FieldError("language", f"{text!r} is not one of {', '.join(LANGUAGES)}")


@cache
def function_words(language: Language) -> frozenset[str]:
    """The folded function words of ``language``; of "none" there are none."""
    return frozenset(folded(word) for word in _list(language).split())


def detect_language(texts: Iterable[str]) -> Language:
    """The language that at least four in five words of ``texts`` stand in; "none" where there is no such.

    So it is "none" for mixed languages, for code and part numbers, for a language without a list and for
    scripts without blanks. A text's language is the one with most function words among its words. All of
    ``texts`` are read, 2,000 characters of each: some hundred passages from all parts of a corpus will do.
    """
    words_in: Counter[Language] = Counter()
    for text in texts:
        words = _telling(text[:_READ_CHARS])
        if len(words) >= _LEAST_WORDS:
            words_in[_language_of(words)] += len(words)
    if not words_in:
        return "none"
    language, most = words_in.most_common(1)[0]
    return language if most >= _CLEAR * words_in.total() else "none"


def _language_of(words: list[str]) -> Language:
    counts = {language: sum(map(_written(language).__contains__, words)) for language in LANGUAGES}
    best = max(LANGUAGES, key=counts.__getitem__)
    least = _LEAST_SHARE_OF.get(best, _LEAST_SHARE)
    return best if counts[best] >= least * len(words) else "none"


@cache
def _written(language: Language) -> frozenset[str]:
    """The function words of ``language`` with their accents: without them, Vietnamese has Romanian ones."""
    return frozenset(_telling(_list(language)))


def _list(language: Language) -> str:
    """The function words of ``language``, between white space."""
    if language == "none":
        return ""
    return (Path(__file__).parent / "function_words" / f"{language}.txt").read_text(
        encoding="utf-8"
    )


def _telling(text: str) -> list[str]:
    """The words of ``text``, but for single Latin letters: in code they are names."""
    words = WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return [word for word in words if len(word) > 1 or not word.isascii()]
