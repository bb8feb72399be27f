"""Judged queries: from files of judgements and logs of clicks to known queries and their labels."""

from __future__ import annotations

from lurcher.index_builder.judged.clicks import read_clicks
from lurcher.index_builder.judged.known import Known, merge
from lurcher.index_builder.judged.labels import to_labels
from lurcher.index_builder.judged.qrels import read_judged

__all__ = ["Known", "merge", "read_clicks", "read_judged", "to_labels"]
