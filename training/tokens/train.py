"""``lurcher train tokens``: a projection of token states to 1-bit codes, from judged queries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.models.tokens.projection import Projection
from lurcher.training.loop import Point
from lurcher.training.partial import begin, partial
from lurcher.training.ranker.questions import Judged, judged
from lurcher.training.tokens.projection_training import Plan, train

# Development questions, at most.
_DEVELOPMENT = 600


def train_tokens(
    target: Path, training: tuple[Path, Path], development: tuple[Path, Path], out: Path, plan: Plan,
    report: Callable[[Point], None] = lambda _: None, skip_unknown: bool = False,
) -> Projection:  # fmt: skip
    """The projection now in the new file ``out``, which starts from that of the bundle at ``target``.

    ``training`` and ``development`` are files of queries and of judgements. What was read of passages and
    queries stays in ``OUT.partial`` until it is done, for another run of the same. Raises CorpusError,
    FieldError, ModelError, BundleError; then there is no ``out``.
    """
    with partial(out) as work, closing(Bundle.open(target)) as bundle:

        def some(files: tuple[Path, Path], most: int) -> Judged:
            queries, qrels = files
            texts = read_queries(queries)
            found = judged(bundle, texts, read_qrels(qrels), qrels, skip_unknown)
            order = np.random.default_rng(plan.seed).permutation(len(found))
            return found.take(np.sort(order[:most]))

        judged_training = some(training, plan.steps * plan.questions_a_batch)
        held = some(development, _DEVELOPMENT)
        begin(work, [bundle.manifest.checksum, plan.depth, asdict(judged_training), asdict(held)])
        projection = train(bundle, judged_training, held, plan, work, report)
        projection.save(work / "made.npz")
        (work / "made.npz").rename(out)
    return projection
