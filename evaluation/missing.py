"""Whether judgements are of the corpus that is measured: figures of any other say nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from lurcher.errors import InputError
from lurcher.evaluation.judgements import Qrels

_SHOWN = 3


def missing_queries(judged: Sequence[str], queries: Mapping[str, str]) -> Iterator[str]:
    """A warning, if some judged queries have no text: they are left out. Raises InputError if none has."""
    missing = [id_ for id_ in judged if id_ not in queries]
    if missing and len(missing) == len(judged):
        raise InputError(
            f"none of the {len(judged):,} judged queries is among the {len(queries):,} queries"
            f" (first: {_first(missing)})"
        )
    if missing:
        yield (
            f"{len(missing):,} of {len(judged):,} judged queries are not among the queries and are left out"
            f" (first: {_first(missing)})"
        )


def relevant_passages(ids: Sequence[str], qrels: Qrels) -> list[str]:
    """The passages that answer one of the queries ``ids``, each once."""
    return list(dict.fromkeys(p for id_ in ids for p, grade in qrels[id_].items() if grade > 0))


def unknown_passages(target: str, wanted: Sequence[str], known: Collection[str]) -> Iterator[str]:
    """A warning, if ``target`` lacks some ``wanted`` passages. Raises InputError if it has none of them."""
    unknown = [passage for passage in wanted if passage not in known]
    if len(unknown) == len(wanted):
        raise InputError(
            f"{target} has none of the {len(wanted):,} judged passages (first: {_first(unknown)}); are the "
            "judgements of its corpus?"
        )
    if unknown:
        yield (
            f"{target} lacks {len(unknown):,} of {len(wanted):,} judged passages (first: {_first(unknown)}), "
            "which count as not found"
        )


def _first(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:_SHOWN]))
