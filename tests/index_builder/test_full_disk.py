"""A disk that fills up: one clear error, no bundle, and a rerun that goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import ENCODER
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.stages.encode_passages import VECTORS_FILE
from tests.tiny import TINY, TinyOptions, build

Write = Callable[[Path, Iterable[Any]], Path]

# A limit on the size of any one file fails a write as a full disk does, and needs no disk.
LIMITED = """
import resource, sys
from pathlib import Path
from lurcher.index_builder.build import BuildOptions, build
from lurcher.errors import BundleError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    build(Path(sys.argv[1]), Path(sys.argv[2]), BuildOptions(Path(sys.argv[4])))
except BundleError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("limit", "where"),
    # 600 vectors of 96 dimensions are 230,400 bytes, and their index has a header.
    [(20_000, "passages"), (180_000, "vectors"), (230_420, "index"), (250_000, "encoder")],
)
def test_a_full_disk_is_one_error_and_a_rerun_finishes(
    tmp_path: Path, write_jsonl: Write, limit: int, where: str
) -> None:
    lines = [{"id": str(i), "text": f"passage {i}"} for i in range(600)]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", lines)
    out = tmp_path / "out.lurcher"
    command = [sys.executable, "-c", LIMITED, str(corpus), str(out), str(limit), str(TINY)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{out}: cannot be written: ")
    assert not out.exists()
    partial = out.with_name(f"{out.name}.partial")
    begun = [(partial / file).exists() for file in (f"scratch/{VECTORS_FILE}", f"bundle/{ENCODER}")]
    assert begun == [where != "passages", where == "encoder"]
    build(corpus, out)
    assert verify(out) == []


def test_a_window_that_cannot_be_leaves_nothing(tmp_path: Path, small_corpus: Path) -> None:
    out = tmp_path / "out.lurcher"
    with pytest.raises(FieldError, match="overlap"):
        build(small_corpus, out, TinyOptions(window=10, overlap=10))
    assert list(tmp_path.iterdir()) == []
