"""What every corpus reader yields: one record a line or file, good or bad, in corpus order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lurcher.index_builder.corpus.document import Document


@dataclass(frozen=True, slots=True)
class Record:
    """One document of a corpus, or the reason why there is none; with the place it came from.

    ``line`` counts from 1; it is the row in Parquet, the first line of a CSV row, and None for text
    files. Exactly one of ``document`` and ``reason`` is set; ``raw`` is the bad line itself, cut to
    1,000 characters, and empty where there is none to show.
    """

    file: Path
    line: int | None
    document: Document | None = None
    reason: str | None = None
    raw: str = ""
