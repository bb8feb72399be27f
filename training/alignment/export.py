"""A trained student as an ONNX graph beside its teacher's files, checked against torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors import SafetensorError

from lurcher.models.encoders.config import TOKENIZER_FILE, VOCABULARY_FILE
from lurcher.training.alignment.student import Student
from lurcher.training.compression.simplify import simplify
from lurcher.training.compression.sparse_storage import pack_sparse
from lurcher.training.graph import build_graph
from lurcher.training.original import Array, Original
from lurcher.training.parity import check_parity
from lurcher.training.vocabulary import write_sharing

Quantize = Callable[[onnx.ModelProto], onnx.ModelProto]


def export_student(
    student: Student, source: Original, teacher: Path, file: Path, quantize: Quantize | None
) -> None:
    """Write the graph of ``student`` to ``file``, to be used beside the files of ``teacher``.

    ``source`` has its tokeniser; ``quantize`` makes the graph INT8, None leaves it fp32. Raises
    OSError, and ParityError where the graph does not compute what the student does.
    """
    with tempfile.TemporaryDirectory(prefix=".export.", dir=file.parent) as folder:
        work = Path(folder)
        try:
            student.transformer.save_pretrained(work / "transformer")
        except SafetensorError as error:  # what a full disk is there
            raise OSError(f"{work}: {error}") from error
        source.tokenizer.save_pretrained(work / "transformer")
        weights = student.token_weights.detach().exp().numpy() if student.is_table else None
        correction = None
        if student.correction is not None:
            codes, directions = (part.weight.detach().numpy() for part in student.correction)
            correction = (codes, np.ascontiguousarray(directions.T))
        head = (student.head.weight.detach().numpy(), student.head.bias.detach().numpy())
        recipe = replace(source.recipe, pooling=student.pooling)
        graph = build_graph(
            work / "transformer", recipe, work,
            correction=correction, head=head, token_weights=weights,
        )  # fmt: skip
        graph = simplify(graph)
        if quantize is not None:
            graph = pack_sparse(quantize(graph))
        write_sharing(graph, work / file.name, teacher / VOCABULARY_FILE)
        for name in (TOKENIZER_FILE, VOCABULARY_FILE):
            with suppress(FileNotFoundError):  # a teacher in one file has no vocabulary beside it
                shutil.copyfile(teacher / name, work / name)
        check_parity(
            _Aligned(student, source), work / file.name, "the student", int8=quantize is not None
        )
        (work / file.name).replace(file)


@dataclass(frozen=True)
class _Aligned:
    """A student as what its graph is held against."""

    student: Student
    source: Original

    @property
    def max_tokens(self) -> int:
        """Where texts are cut."""
        return self.source.max_tokens

    def tokenise(self, text: str) -> list[int]:
        """The token ids of ``text``."""
        return self.source.tokenise(text)

    def encode(self, ids: list[int]) -> tuple[Array, Array]:
        """The vector (d,) and token states (L, d) of one text."""
        row = torch.tensor([ids])
        with torch.inference_mode():
            vectors, states = self.student.eval()(row, torch.ones_like(row, dtype=torch.float32))
        return vectors[0].numpy(), states[0].numpy()
