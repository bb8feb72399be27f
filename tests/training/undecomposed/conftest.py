"""A small undecomposed reader, and what it is asked."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lurcher.bundle.passages import Passage

if TYPE_CHECKING:
    from lurcher.benchmarks.baselines.pairs import Pair
    from lurcher.benchmarks.baselines.undecomposed.network import PairTokenizer, Undecomposed
    from lurcher.benchmarks.baselines.undecomposed.questions import GoldQuestion

    Fresh = tuple[Undecomposed, PairTokenizer]


@pytest.fixture
def fresh(original: Path) -> Fresh:
    """An untrained reader."""
    from lurcher.benchmarks.baselines.undecomposed.network import start

    return start(original)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Thirty pairs of all lengths up to 60 tokens."""
    from lurcher.benchmarks.baselines.pairs import Pair

    generator = random.Random(1)
    lengths = [generator.randint(4, 60) for _ in range(30)]
    return [
        Pair(generator.choices(range(5, 290), k=n), generator.randint(1, n - 2)) for n in lengths
    ]


@pytest.fixture
def ask(fresh: Fresh) -> Callable[..., GoldQuestion]:
    """Makes a question of texts."""
    from lurcher.benchmarks.baselines.undecomposed.questions import GoldQuestion

    _, tokenizer = fresh

    def made(text: str, *answers: str, question: str = "where?", title: str = "") -> GoldQuestion:
        passage = Passage("p", text, title)
        asked, read = tokenizer.texts([question, passage.content])
        return GoldQuestion("q", asked, passage, read, list(answers))

    return made
