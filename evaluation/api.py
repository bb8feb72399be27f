"""``lurcher.evaluate`` and ``lurcher.compare``: what the commands do, for notebooks and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from lurcher.errors import LurcherError
from lurcher.evaluation.judgements import Qrels, read_qrels, read_queries

try:
    from lurcher.evaluation.compare import Compared
    from lurcher.evaluation.compare import compare as compare_opened
    from lurcher.evaluation.evaluate import Evaluation
    from lurcher.evaluation.evaluate import evaluate as evaluate_opened
    from lurcher.evaluation.targets import Given, open_target, target_of
except ModuleNotFoundError as error:
    raise LurcherError(
        f"this needs the package {error.name}: pip install 'lurcher[eval]'"
    ) from error

# Files as BEIR or TREC writes them, or what is in them.
Queries = Path | str | Mapping[str, str]
Judgements = Path | str | Qrels


def evaluate(
    target: Given, queries: Queries, qrels: Judgements, *, against: Given | Sequence[Given] = (),
    limit: int | None = None, **settings: Any,
) -> Evaluation:  # fmt: skip
    """How well ``target`` retrieves, and how each of ``against`` compares with it.

    A target is the path of a bundle or of a TREC run, the URL of a server, or what `lurcher.open` or
    `lurcher.Client` gave; ``against`` may also be settings alone, "rank=off", of the target itself.
    ``queries`` are a file or texts by id, ``qrels`` a file or grades by query and passage. ``settings`` are
    those of ``lurcher eval``: retrieve, rank, candidates, neighbours, engine. Raises LurcherError.
    """
    texts, judged = _queries(queries), _qrels(qrels)
    others = against if isinstance(against, list | tuple) else [cast("Given", against)]
    first = target_of(target)
    if settings:
        first = target_of(",".join(f"{name}={value}" for name, value in settings.items()), first)
    named = {id_ for grades in judged.values() for id_ in grades}
    with ExitStack() as opened:
        return evaluate_opened(
            opened.enter_context(open_target(first, named)), texts, judged, limit,
            [opened.enter_context(open_target(target_of(one, first), named)) for one in others],
        )  # fmt: skip


def compare(
    first: Given, second: Given, queries: Queries | None = None, qrels: Judgements | None = None, *,
    show: int = 10, limit: int | None = None,
) -> Compared:  # fmt: skip
    """Which queries ``second`` answers better than ``first``, and which worse, with the hits of both.

    Targets, queries and judgements are those of ``evaluate``. Without ``qrels`` the queries whose hits differ
    most are found. ``write_html`` of the result writes a page. Raises LurcherError.
    """
    judged = None if qrels is None else _qrels(qrels)
    named = {id_ for grades in (judged or {}).values() for id_ in grades}
    a = target_of(first)
    with ExitStack() as opened:
        targets = (
            opened.enter_context(open_target(a, named)),
            opened.enter_context(open_target(target_of(second, a), named)),
        )
        texts = None if queries is None else _queries(queries)
        return compare_opened(targets, texts, judged, show, limit)


def _queries(given: Queries) -> Mapping[str, str]:
    return given if isinstance(given, Mapping) else read_queries(Path(given))


def _qrels(given: Judgements) -> Qrels:
    return given if isinstance(given, dict) else read_qrels(Path(given))
