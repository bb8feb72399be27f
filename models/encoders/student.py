"""What a student's folder says of itself: ``student.json``.

::

    query.onnx      the graph: input_ids, attention_mask -> vector, token_states
    student.json    this file

A student reads queries in its teacher's stead. It has no tokeniser, and perhaps no vocabulary, of its
own: models.encoders.merge puts it beside its teacher's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lurcher.models.encoders.reading import read_description

QUERY_GRAPH = "query.onnx"
STUDENT_FILE = "student.json"

Activations = Literal["static", "dynamic", "fp32"]

SHA256 = r"^sha256:[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Part):
    """One measure of retrieval, of teacher and student on the same data."""

    data: str
    measure: str
    teacher: float
    student: float

    @property
    def retention(self) -> float:
        """The share of the teacher's quality that the student keeps."""
        return self.student / self.teacher if self.teacher else float(self.student == self.teacher)


class StudentConfig(_Part):
    """How a query encoder was made from its teacher, and what it keeps of it."""

    name: str = Field(min_length=1)
    teacher: str = Field(pattern=SHA256, description="fingerprint of the teacher's encoder")
    dimension: int = Field(gt=0)
    layers: list[int] = Field(description="the teacher's that were kept; none: a token table")
    sparsity: float = Field(ge=0, lt=1)
    pattern: Literal["unstructured", "4-block"]
    rank: int = Field(ge=0, description="of the vocabulary's correction; 0: none")
    precision: Literal["int8", "fp32"]
    activations: Activations = Field(description="how they are rounded: scales fixed, or by token")
    losses: dict[str, float] = Field(description="weight of each loss it was aligned by")
    queries: int = Field(ge=0, description="how many it was aligned on")
    seed: int
    figures: list[Figure] = Field(description="measured on development splits")


def load_student(folder: Path) -> StudentConfig:
    """The student in ``folder``, as it describes itself.

    Raises ModelNotFound where there is none, ModelError where it cannot be used.
    """
    return read_description(folder, STUDENT_FILE, StudentConfig, "a student")
