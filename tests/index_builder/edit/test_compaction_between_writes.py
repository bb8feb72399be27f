"""A compaction that ends between two flushes: what the log changes of its passages is not lost."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Patch
from lurcher.index_builder.edit.writer import Writer

POLICY = WritePolicy(age=1e9, most_deleted=0.0)


def test_a_patched_passage_survives_a_compaction_and_a_kill(
    small_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    writer = Writer.open(bundle, policy=POLICY)
    writer.commit([Patch({"en-food-0": {"lang": "xx"}})])
    assert writer.compact()
    writer.abandon()  # as a kill would
    with closing(Writer.open(bundle, policy=POLICY)) as again:
        rows = again.bundle.passages.rows_of(["en-food-0"])
        (found,) = again.bundle.passages.get(list(rows.values()))
        assert found.metadata["lang"] == "xx"
