"""Queries that are one exact identifier each, and which documents of a corpus hold it.

A **token** is a word with all that the marks of identifiers join to it: ``os.path.join``, ``IL-10``,
``lib/url.js``, ``--no-cache``. A passage holds an identifier if one of its tokens is it, whatever their case
and whichever hyphens they have: ``IL-10R`` does not hold ``IL-10``.
"""

from __future__ import annotations

import errno
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lurcher.bundle.passages import Passage

_TOKEN = re.compile(
    r"(?:(?<![\w.~/-])(?:--?|~?/|\.{1,2}/))?"  # an option's hyphens, a path's beginning
    r"\w+(?:(?:[-\u2010\u2011./:+@#~]+|,(?=\d))\w+)*"
)
_HYPHENS = str.maketrans("\u2010\u2011", "--")

_ERRORS = "|".join(errno.errorcode.values())

# Which tokens are identifiers: the first kind that fits one is its kind.
KINDS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in (
        ("DOI", r"10\.\d{4,9}/[\w.()/:-]+"),
        ("version", r"v?\d+(\.\d+){2,}(-?(rc|a|b|alpha|beta|dev)[.]?\d*)?"),
        ("option", r"--[a-z][a-z0-9]*(-[a-z0-9]+)+"),
        ("path", r"(~?/|\.{1,2}/)?[\w.-]+(/[\w.-]+)*/[\w-]+\.[a-z]\w{0,4}|(~?/|\.{1,2}/)[\w.-]+(/[\w.-]+)+"),
        ("file", r"[A-Za-z_][\w-]*\.(py|js|json|c|h|md|txt|toml|cfg|ini|ya?ml|html|sh|so|zip|tar\.gz)"),
        ("code", rf"{_ERRORS}|(ERR|E)_[A-Z_]{{4,}}|[A-Z]{{1,4}}\d{{3,5}}|0x[0-9a-fA-F]{{2,}}"),
        ("dotted name", r"[A-Za-z_]\w+(\.[A-Za-z_]\w+){2,}|[a-z]\w*_\w+\.\w{3,}|[a-z]\w{2,}\.[a-z]\w*_\w+"),
        ("snake_case", r"_*[A-Za-z]\w*_\w+"),
        ("camelCase", r"[a-z]{2,}[a-z0-9]*([A-Z][a-z0-9]+)+|(?!Mac|Mc|De)([A-Z][a-z0-9]+){2,}"),
        ("part number", r"(?=.*\d)(?=.*[A-Z])[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*"),
        ("number", r"\d{1,3}(,\d{3})+(\.\d+)?|\d{4,}|\d+\.\d{2,}"),
    )
}  # fmt: skip
_LENGTHS = range(4, 61)


@dataclass(frozen=True, slots=True)
class IdentifierQuery:
    """An identifier, as its document writes it first, and the only document that holds it."""

    text: str
    kind: str
    document: str


def tokens(text: str) -> Iterator[str]:
    """The tokens of ``text`` in order, as it writes them."""
    return (found.group() for found in _TOKEN.finditer(text))


def kind_of(token: str) -> str | None:
    """Which kind of identifier ``token`` is; None if it is none."""
    if len(token) not in _LENGTHS:
        return None
    return next((name for name, pattern in KINDS.items() if pattern.fullmatch(token)), None)


def holds(passage: Passage, identifier: str) -> bool:
    """Whether a token of the passage's heading or text is ``identifier``."""
    wanted = _folded(identifier)
    return any(_folded(token) == wanted for token in tokens(_content(passage)))


def identifier_queries(passages: Iterable[Passage], count: int, seed: int) -> list[IdentifierQuery]:
    """At most ``count`` queries, as evenly of all kinds as there are, whose identifier one document holds."""
    homes: dict[str, IdentifierQuery | None] = {}  # None: of several documents
    for passage in passages:
        for token in tokens(_content(passage)):
            folded = _folded(token)
            known = homes.get(folded)
            if folded not in homes:
                kind = kind_of(token) or ""
                homes[folded] = IdentifierQuery(token, kind, passage.document)
            elif known is not None and known.document != passage.document:
                homes[folded] = None
    by_kind: dict[str, list[IdentifierQuery]] = {kind: [] for kind in KINDS}
    for query in homes.values():
        if query is not None and query.kind:
            by_kind[query.kind].append(query)
    generator = random.Random(seed)
    for some in by_kind.values():
        generator.shuffle(some)
    return _in_turn(list(by_kind.values()), count)


def _in_turn(lists: Sequence[list[IdentifierQuery]], count: int) -> list[IdentifierQuery]:
    """The first ``count`` of all lists' first ones, then of their second ones, and so on."""
    longest = max(map(len, lists), default=0)
    drawn = [some[i] for i in range(longest) for some in lists if i < len(some)]
    return drawn[:count]


def _folded(token: str) -> str:
    return token.casefold().translate(_HYPHENS)


def _content(passage: Passage) -> str:
    return f"{passage.heading}\n{passage.text}"
