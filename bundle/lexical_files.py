"""The files of the lexical index: which passages have each term, and how much (see ``jagged``).

::

    segments/000000/
      lexical.terms      the terms in UTF-8, one after the other, in the order of their bytes
      lexical.terms.idx  per term, how many bytes it has
      lexical.rows       per term, the rows of the passages that have it, ascending
      lexical.steps      per row, how much of the term's share the passage has, in steps of 1 / 256
      lexical.idx        per term, how many rows it has

Rows and counts are unsigned integers of as few bytes as the number of passages needs. ``lexical_index`` opens
and searches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.jagged import Column, JaggedLayout, JaggedWriter, count_type
from lurcher.bundle.passages import Rows
from lurcher.models.lexical.analyser import ANALYSER_VERSION
from lurcher.models.lexical.bm25 import Counts, Steps

VOCABULARY = JaggedLayout(
    (Column("lexical.terms", np.dtype(np.uint8)),),
    "lexical.terms.idx",
    ("bytes",),
    np.dtype(np.uint16),
)


def postings_layout(passages: int) -> JaggedLayout:
    """The files of the postings of so many ``passages``."""
    columns = (
        Column("lexical.rows", count_type(max(0, passages - 1))),
        Column("lexical.steps", np.dtype(np.uint8)),
    )
    return JaggedLayout(columns, "lexical.idx", ("postings",), count_type(passages))


def lexical_files(bundle: Path, segment: str) -> list[Path]:
    """The files of the index of ``segment``."""
    return [*VOCABULARY.files(bundle / segment), *postings_layout(0).files(bundle / segment)]


class LexicalSettings(BaseModel):
    """What the manifest says of the lexical index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = Field(description="of the passages: how words are stemmed; 'none': not at all")
    analyser: int = Field(ge=1, description="version of what makes terms of a text")
    k1: float = Field(ge=0)
    b: float = Field(ge=0, le=1)
    title_weight: float = Field(
        ge=0, description="how often a term counts that stands in title or section"
    )
    passages: int = Field(ge=0, description="of which frequencies were counted")
    average_length: float = Field(ge=0, description="of a passage, in words")
    terms: int = Field(ge=0)
    term_bytes: int = Field(ge=0, description="of the terms in UTF-8")
    postings: int = Field(ge=0, description="pairs of a term and a passage that has it")
    bytes: int = Field(ge=0, description="of all files")


class LexicalWriter:
    """Appends terms, in the order of their bytes, to the index of a segment."""

    def __init__(self, segment: Path, passages: int, fail_point: FailPoint = carry_on) -> None:
        """Open or create the files in the folder ``segment``."""
        self._terms = JaggedWriter(segment, VOCABULARY, fail_point)
        self._postings = JaggedWriter(segment, postings_layout(passages), fail_point)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._terms.close()
        self._postings.close()

    def append(self, terms: Sequence[bytes], counts: Counts, rows: Rows, steps: Steps) -> None:
        """Write the next ``terms``: how many rows each has, (t,), then all rows and steps, (n,)."""
        letters = np.frombuffer(b"".join(terms), np.uint8)
        self._terms.append_flat([letters], np.array([[len(term)] for term in terms], np.int64))
        self._postings.append_flat([rows, steps], counts[:, None])


def describe_lexical(
    bundle: Path, segment: str, language: str, passages: int, average_length: float,
    k1: float, b: float, title_weight: float,
) -> LexicalSettings:  # fmt: skip
    """What the manifest says of the index that was written for ``segment``."""
    folder, postings = bundle / segment, postings_layout(passages)
    (letters,), size = VOCABULARY.measure(folder)
    (pairs,), more = postings.measure(folder)
    return LexicalSettings(
        language=language, analyser=ANALYSER_VERSION, k1=k1, b=b, title_weight=title_weight,
        passages=passages, average_length=average_length, terms=len(VOCABULARY.read_index(folder)),
        term_bytes=letters, postings=pairs, bytes=size + more,
    )  # fmt: skip
