"""Requests of several kinds, drawn at random in given proportions, as those of a server's users are mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lurcher.benchmarks.open_loop import Sent, request_of
from lurcher.errors import FieldError

# Of each kind: method, path, and the document made of a query's text and its number.
_Make = Callable[[str, int], dict[str, Any]]
_KINDS: dict[str, tuple[str, str, _Make]] = {
    "search": ("POST", "/v1/search", lambda text, _: {"query": text}),
    "unranked": ("POST", "/v1/search", lambda text, _: {"query": text, "rank": "off"}),
    "reader": ("POST", "/v1/search", lambda text, _: {"query": text, "rank": "reader"}),
    "answer": ("POST", "/v1/answer", lambda text, _: {"query": text}),
    "write": (
        "PUT", "/v1/passages",
        lambda text, number: {"records": [{"id": f"load {number}", "text": text}]},
    ),
}  # fmt: skip
WRITE = "write"
_FEWEST = 1_000  # requests, so that each kind has about its proportion


def mix_of(text: str) -> dict[str, float]:
    """The share of each kind in ``text``, such as "search=8,answer=1". Raises FieldError."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        name = name.strip()
        if name not in _KINDS or name in shares:
            raise FieldError("mix", f"{part!r}: kinds are {', '.join(_KINDS)}, each once")
        try:
            shares[name] = float(share or 1)
        except ValueError:
            shares[name] = 0.0
        if not 0 < shares[name] < float("inf"):
            raise FieldError("mix", f"{part!r}: its part is a number above 0")
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def drawn(
    shares: Mapping[str, float], texts: Sequence[str], fields: Mapping[str, Any], key: str | None,
    host: str,
) -> list[Sent]:  # fmt: skip
    """Requests in the proportions of ``shares``, which add up to 1, made of ``texts`` in order.

    ``fields`` are those of each search. A write adds the text as a passage under an id of its own.
    """
    count = max(len(texts), _FEWEST) if len(shares) > 1 else len(texts)
    kinds = np.random.default_rng(0).choice(list(shares), count, p=list(shares.values()))
    requests = []
    for number, kind in enumerate(kinds.tolist()):
        method, path, make = _KINDS[kind]
        document = make(texts[number % len(texts)], number)
        if path == "/v1/search":
            document = {**fields, **document}
        requests.append(Sent(kind, request_of(document, key, host, path, method)))
    return requests
