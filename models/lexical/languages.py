"""Languages that words are stemmed in, and how one is found.

Each has a Snowball stemmer and a list of function words (articles, pronouns, prepositions, conjunctions,
auxiliaries, question words), which lies beside this module in ``function_words/NAME.txt``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from lurcher.errors import FieldError
from lurcher.folding import WORD, folded, word_set

Language = Literal["english", "french", "german", "spanish", "none"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_WITH_WORDS = tuple(language for language in LANGUAGES if language != "none")

# ISO 639-1.
_CODES: dict[str, Language] = {"en": "english", "fr": "french", "de": "german", "es": "spanish"}

# A text has a language if at least so many of its words are function words of it; most texts have twice as
# many, and lists of names or code half as many.
_LEAST_SHARE = 0.2
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
    if language == "none":
        return frozenset()
    path = Path(__file__).parent / "function_words" / f"{language}.txt"
    return word_set(folded(path.read_text(encoding="utf-8")))


def detect_language(texts: Iterable[str]) -> Language:
    """The language that at least four in five words of ``texts`` stand in; "none" where there is no such.

    So it is "none" for mixed languages, for code and part numbers, for a language without a list and for
    scripts without blanks. A text's language is the one with most function words among its words. All of
    ``texts`` are read, 2,000 characters of each: some hundred passages from all parts of a corpus will do.
    """
    words_in: Counter[Language] = Counter()
    for text in texts:
        words = WORD.findall(folded(text[:_READ_CHARS]))
        if len(words) >= _LEAST_WORDS:
            words_in[_language_of(words)] += len(words)
    if not words_in:
        return "none"
    language, most = words_in.most_common(1)[0]
    return language if most >= _CLEAR * words_in.total() else "none"


def _language_of(words: list[str]) -> Language:
    counts = {
        language: sum(map(function_words(language).__contains__, words)) for language in _WITH_WORDS
    }
    best = max(_WITH_WORDS, key=counts.__getitem__)
    return best if counts[best] >= _LEAST_SHARE * len(words) else "none"
