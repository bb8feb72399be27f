"""Runs of ``compress`` on small teachers, and judgements to compare by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lurcher.bundle.bundle import Bundle

if TYPE_CHECKING:
    from lurcher.models.encoders.student import StudentConfig
    from lurcher.training.alignment.make_student import Plan
    from lurcher.training.compress import Judged
    from tests.training.compress.making import Make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "student"


@pytest.fixture
def make(original: Path, questions: list[str], out: Path) -> Make:
    """Runs ``compress`` on a teacher; the plan and what else it takes may be given."""
    from lurcher.training.compress import compress
    from tests.training.compress.making import PLAN

    def run(target: Path, plan: Plan = PLAN, **given: Any) -> StudentConfig:
        given = {"original": original, "queries": questions, "out": out} | given
        return compress(target, plan=plan, **given)

    return run


@pytest.fixture
def judged(bundle: Path, questions: list[str]) -> Judged:
    """Judgements of ten questions that are not asked elsewhere, and a text without judgements."""
    from lurcher.training.compress import Judged

    with closing(Bundle.open(bundle)) as opened:
        ids = [passage.id for passage in opened.passages.get(range(opened.passages.count))]
    texts = {f"q{i}": f"turbine {question}" for i, question in enumerate(questions[:10])}
    qrels = {f"q{i}": {ids[3 * i]: 1, ids[3 * i + 1]: 1} for i in range(10)}
    return Judged("dev", texts | {"trained": questions[0]}, qrels)
