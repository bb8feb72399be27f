"""Judged questions, and an untrained decoder to learn them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.token_store import TokenStore

if TYPE_CHECKING:
    from lurcher.training.ranker.network import Decoder
    from lurcher.training.ranker.questions import Judged


@pytest.fixture(scope="module")
def store(opened: Bundle) -> TokenStore:
    from lurcher.training.ranker.questions import token_store

    return token_store(opened)


@pytest.fixture(scope="module")
def asked(opened: Bundle) -> Judged:
    """Forty questions in the words of one passage, answered by another: to be learnt by heart."""
    from lurcher.training.ranker.questions import Judged

    passages = opened.passages.get(range(40))
    texts = [" ".join(p.text.split()[:4]) for p in passages]
    relevant = [{(row + 40) % 80: 1 + row % 2} for row in range(40)]
    return Judged(texts, [f"q{row}" for row in range(40)], relevant)


@pytest.fixture
def decoder(store: TokenStore) -> Callable[[], Decoder]:
    """Makes an untrained one, the same each time."""
    import torch

    from lurcher.training.ranker.network import Decoder, Shape

    def make() -> Decoder:
        torch.manual_seed(0)
        return Decoder(Shape(32, store.coder.bits, 16, 2), 0.1)

    return make
