"""A server's feedback log as known queries."""

from __future__ import annotations

from pathlib import Path

from bundle.feedback import read_feedback
from index_builder.judged.known import Known, query_id
from models.text import normalised


def log_prefix(log: str) -> str:
    """How the ids of known queries begin that came from the log with this id."""
    return f"feedback-{log[:8]}"


def read_log(path: Path, client_weight: float, clients: int) -> tuple[list[Known], str, int]:
    """The known queries of the log at ``path``, its id, and the last sequence number in it.

    As in the server that wrote it, a client adds at most ``client_weight`` to a pair of query and
    passage, and a pair counts once so many ``clients`` gave it. Raises FeedbackCorrupt and OSError.
    """
    content = read_feedback(path)
    texts: dict[str, str] = {}
    given: dict[str, dict[str, dict[str, float]]] = {}  # query -> passage -> client -> weight
    for one in content.judgements:
        key = normalised(one.query)
        texts.setdefault(key, one.query)
        by_client = given.setdefault(key, {}).setdefault(one.passage, {})
        by_client[one.client] = min(by_client.get(one.client, 0.0) + one.weight, client_weight)
    known = []
    for key, passages in given.items():
        labels = {
            passage: sum(by_client.values())
            for passage, by_client in passages.items()
            if len(by_client) >= clients
        }
        if labels:
            id_ = query_id(log_prefix(content.id), key)
            known.append(Known(id_, texts[key], labels, path.name))
    return known, content.id, content.sequence
