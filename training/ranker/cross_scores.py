"""A cross-encoder's scores from a file: query id, passage id and score, separated by tabs.

The first line may be a header. Scores are logits: their softmax over a query's candidates is learnt from.
"""

from __future__ import annotations

import math
from pathlib import Path

from lurcher.errors import CorpusError


def read_cross_scores(path: Path) -> dict[str, dict[str, float]]:
    """The score of each pair by query id and passage id. Raises CorpusError."""
    scores: dict[str, dict[str, float]] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.rstrip("\r\n").split("\t")
                if not line.strip() or (number == 1 and _score(fields[-1]) is None):
                    continue
                if len(fields) != 3:
                    reason = f"{len(fields)} fields, expected query id, passage id, score"
                    raise CorpusError(path, number, reason)
                score = _score(fields[2])
                if score is None or not math.isfinite(score):
                    raise CorpusError(path, number, f"score {fields[2]!r} is not a finite number")
                scores.setdefault(fields[0], {})[fields[1]] = score
    except OSError as error:
        raise CorpusError(path, None, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise CorpusError(path, None, f"not UTF-8: {error}") from error
    return scores


def _score(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
