"""Lurcher: a retrieval server for machines without a GPU, and the same in this process.

::

    import lurcher

    with lurcher.open("docs.lurcher") as docs:
        for hit in docs.search("how do I compress a file", top_k=3).hits:
            print(hit.score, hit.id, hit.title)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurcher import telemetry

if TYPE_CHECKING:
    from lurcher.bundle.passages import Passage
    from lurcher.client import AsyncClient, Client
    from lurcher.collection import Collection
    from lurcher.errors import LurcherError
    from lurcher.evaluation.api import compare, evaluate
    from lurcher.retrieval.results import Answer, Hit, RerankResult, SearchResult
    from lurcher.writable import open_collection as open

__all__ = [
    "Answer", "AsyncClient", "Client", "Collection", "Hit", "LurcherError", "Passage",
    "RerankResult", "SearchResult", "compare", "evaluate", "open",
]  # fmt: skip

# Here, because whatever imports one of our dependencies for us runs this file first.
telemetry.forbid()

_HOMES = {
    "Answer": "lurcher.retrieval.results",
    "AsyncClient": "lurcher.client",
    "Client": "lurcher.client",
    "Collection": "lurcher.collection",
    "Hit": "lurcher.retrieval.results",
    "LurcherError": "lurcher.errors",
    "Passage": "lurcher.bundle.passages",
    "RerankResult": "lurcher.retrieval.results",
    "SearchResult": "lurcher.retrieval.results",
    "compare": "lurcher.evaluation.api",
    "evaluate": "lurcher.evaluation.api",
    "open": "lurcher.writable",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `lurcher --help` loads no index and no model."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lurcher' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOMES[name]), "open_collection" if name == "open" else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, also those that nobody has used yet."""
    return sorted(__all__)
