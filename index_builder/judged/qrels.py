"""Known queries from judgements as BEIR lays them out: ``queries.jsonl``, and a TSV beside it.

Each line of the TSV is query id, passage id and weight, separated by tabs; the first may be a header. TREC's
four columns are read, too, as ``evaluation.judgements`` says.
Unlike a grade, a weight may be any real number from 0. Either file may be gzipped. A pair that
stands there twice has the later weight, as in BEIR's own loader.
"""

from __future__ import annotations

from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.evaluation.judgements import is_header, judgement_fields, read_queries
from lurcher.index_builder.corpus.encoding.lines import read_lines
from lurcher.index_builder.judged.known import Known, weight_fault
from lurcher.text import is_blank

_SHOWN = 3


def read_judged(queries: Path, qrels: Path, skip_unknown: bool = False) -> list[Known]:
    """The queries that have a passage with a weight above 0, in the order of ``queries``.

    Raises CorpusError; judgements of a query that ``queries`` does not have are one too, unless they
    are to be skipped.
    """
    texts = read_queries(queries)
    judged = _read_weights(qrels)
    unknown = [query for query in judged if query not in texts]
    if unknown and not skip_unknown:
        first = ", ".join(map(repr, unknown[:_SHOWN]))
        raise CorpusError(
            qrels,
            None,
            f"{len(unknown):,} of {len(judged):,} judged queries are not in {queries}"
            f" (first: {first}); pass --skip-unknown to leave them out",
        )
    found = []
    for query, text in texts.items():
        labels = {passage: w for passage, w in judged.get(query, {}).items() if w > 0}
        if labels and is_blank(text):
            raise CorpusError(queries, None, f"query {query!r} is judged, but its text is blank")
        if labels:
            found.append(Known(query, text, labels, qrels.name))
    if not found:
        raise CorpusError(qrels, None, f"no weight above 0 for any query in {queries}")
    return found


def _read_weights(path: Path) -> dict[str, dict[str, float]]:
    """The weight of each judged passage by query id and passage id. Raises CorpusError."""
    weights: dict[str, dict[str, float]] = {}
    for line in read_lines(path):
        if line.fault:
            raise CorpusError(path, line.number, line.fault)
        if not line.text.strip():
            continue
        fields = judgement_fields(line.text)
        if len(fields) != 3:
            raise CorpusError(
                path, line.number, f"{len(fields)} fields, expected query id, passage id, weight"
            )
        query, passage, written = fields
        try:
            weight = float(written)
        except ValueError:
            if line.number == 1 and is_header(fields):
                continue  # the header
            raise CorpusError(path, line.number, f"weight: {written!r} is not a number") from None
        fault = weight_fault(weight)
        if fault:
            raise CorpusError(path, line.number, f"weight: {fault}")
        weights.setdefault(query, {})[passage] = weight
    return weights
