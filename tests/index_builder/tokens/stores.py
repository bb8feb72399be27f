"""What these tests look at in a bundle: its store's bytes, and what it ranks first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.token_store import CODER, token_files
from lurcher.models.ranker.maxsim import maxsim

Write = Callable[[Path, Iterable[Any]], Path]


def content(root: Path) -> list[bytes]:
    """The bytes of a store and its coder."""
    return [file.read_bytes() for file in [*token_files(root, SEGMENT), root / CODER]]


def ranked(bundle: Path, query: str) -> list[str]:
    """Ids of the passages, best first by late interaction alone."""
    with closing(Bundle.open(bundle)) as opened:
        assert opened.tokens is not None
        reader = opened.query_encoder(1)
        (tokens,) = reader.tokenise([query])
        (states,) = reader.encode_states([tokens])[1]
        own = reader.own_tokens(tokens)
        points, weights = opened.tokens.coder.queries(states[own], tokens.ids[own])
        rows = np.arange(opened.passages.count)
        scores = maxsim(points, weights, *opened.tokens.gather(rows))
        return [p.id for p in opened.passages.get(np.argsort(-scores, kind="stable").tolist())]
