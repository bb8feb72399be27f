"""What these tests put into a bundle, and what is known then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import LimitsChange, Pair, Removal, Submission
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import NeighbourOptions

State = Callable[[Path], dict[str, Any]]
WriteJsonl = Callable[[Path, Sequence[Any]], Path]

OPTIONS = NeighbourOptions()
TOPICS = ["animals", "travel", "food", "earth", "music"]


def known_queries(source: str = "known.tsv") -> list[Known]:
    """Fifteen queries, each with one or two passages, the second with half the weight."""
    return [
        Known(
            f"{lang}{i}",
            f"question {i} in {lang} about {topic}",
            {f"{lang}-{topic}-{i % 4}": 2.0} | ({f"{lang}-{topic}-2": 1.0} if i % 2 else {}),
            source,
        )
        for lang in ("en", "de", "fr")
        for i, topic in enumerate(TOPICS)
    ]


def content(bundle: Path) -> dict[str, tuple[str, str, dict[str, float]]]:
    """Text, source and labels of each known query of ``bundle``, by id."""
    with closing(Bundle.open(bundle)) as opened:
        neighbours = opened.neighbours
        assert neighbours is not None
        found = {}
        indptr, rows, weights = (
            neighbours.labels.indptr.tolist(), neighbours.labels.rows.tolist(),
            neighbours.labels.weights.tolist(),
        )  # fmt: skip
        for number, query in enumerate(neighbours.texts.get(range(neighbours.texts.count))):
            own = slice(indptr[number], indptr[number + 1])
            ids = [p.id for p in opened.passages.get(rows[own])]
            labels = dict(zip(ids, weights[own], strict=True))
            found[query.id] = (query.text, query.metadata["source"], labels)
        return found


def write_log(path: Path, *records: Submission | Removal | LimitsChange) -> str:
    log, _ = FeedbackLog.open(path)
    with closing(log):
        log.append(records)
        return log.id


def given(client: str, *pairs: tuple[str, str, float], key: str = "k") -> Submission:
    return Submission(client, 1.0, key, tuple(Pair(*pair) for pair in pairs))


def long_queries() -> list[Known]:
    """Whose texts take more room than their vectors."""
    return [
        Known(str(i), f"question {i} " * 2_000, {"en-food-1": 1.0}, "long.tsv") for i in range(12)
    ]
