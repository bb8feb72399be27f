"""Known queries that have nothing to do with the texts of their passages, so that only they find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged

TICKET = "ticket number {} is still open"


def tickets(records: Sequence[dict[str, Any]]) -> Judged:
    """Record i answers ticket number 7919 i, known as ``t{i}``; development asks in other words."""
    queries = [
        Known(f"t{i}", TICKET.format(i * 7919), {record["id"]: 1.0}, "tickets.tsv")
        for i, record in enumerate(records)
    ]
    asked = [Known(f"a{q.id}", f"is {q.text}?", q.labels, "asked.tsv") for q in queries]
    return Judged(queries, asked)
