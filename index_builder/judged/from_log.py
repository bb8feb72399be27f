"""A server's feedback log as known queries."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.log import read_log
from lurcher.index_builder.judged.known import Known, query_id


def log_prefix(log: str) -> str:
    """How the ids of known queries begin that came from the log with this id."""
    return f"feedback-{log[:8]}"


def known_from_log(path: Path, bundle: Bundle | None = None) -> tuple[list[Known], str, int]:
    """The known queries of the log at ``path``, its id, and the last sequence number in it.

    They weigh what they weigh in the server that wrote it, by the limits it noted there. What was judged of
    a text that passages of ``bundle`` have no more is left out. Raises FeedbackCorrupt and OSError.
    """
    content = read_log(path)
    counting = content if bundle is None else content.of_these_texts(bundle.since)
    sums = counting.aggregate()
    known: dict[str, Known] = {}
    for key, weight in sums.weights():
        query, passage = key
        id_ = query_id(log_prefix(content.id), query)
        one = known.setdefault(query, Known(id_, sums.text(key), {}, path.name))
        one.labels[passage] = float(weight)
    return list(known.values()), content.id, content.sequence
