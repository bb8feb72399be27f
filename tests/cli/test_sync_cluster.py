"""``lurcher sync-cluster`` as a person calls it."""

from __future__ import annotations

from pathlib import Path

from lurcher.cluster.build import build_cluster
from lurcher.cluster.cluster_file import read_cluster
from tests.cli.running import Run, complaint, output
from tests.tiny import TinyOptions


def test_the_next_version_has_what_the_corpus_has(run: Run, tmp_path: Path) -> None:
    corpus, before, after = tmp_path / "c.jsonl", tmp_path / "1.cluster", tmp_path / "2.cluster"
    corpus.write_text("".join(f'{{"id": "{i}", "text": "Note {i}"}}\n' for i in range(6)))
    build_cluster(corpus, before, 2, TinyOptions())
    corpus.write_text("".join(f'{{"id": "{i}", "text": "Note {i}"}}\n' for i in range(2, 7)))
    said = output(run("sync-cluster", before, corpus, after))
    assert "1 documents written, 4 unchanged, 2 deleted" in said
    assert read_cluster(after).passages == 5
    assert "exists; remove it first" in complaint(run("sync-cluster", before, corpus, after))
