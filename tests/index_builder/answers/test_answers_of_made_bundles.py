"""A bundle made of another answers by its files, or by a reader that is put in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.index_builder.edit.swap_reader import swap_reader
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.models.reader.reader import READER_GRAPH, load_reader_config
from tests.index_builder.answers.answering import ANSWERS, OWN, SHIPPED, STORE, another_reader
from tests.tickets import tickets
from tests.tiny import PROFILES, TINY, build


def swapped(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    swap_encoder(old, PROFILES["fast"], out)


def reranked(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    swap_ranker(old, TINY / "ranker", out)


def adapted(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    adapt(old, tickets(records), NeighbourOptions(keep_unseen=0), out)


def test_a_swapped_reader_answers_and_all_else_is_shared(
    answering_bundle: Path, out: Path, tmp_path: Path
) -> None:
    mine = another_reader(tmp_path / "mine", name="mine", min_score=0.25)
    made, manifest = swap_reader(answering_bundle, mine, out)
    assert made == out
    assert manifest.reader == load_reader_config(mine)
    assert verify(out) == verify(answering_bundle) == []
    for file in STORE:
        assert (out / file).samefile(answering_bundle / file)
    assert read_manifest(answering_bundle).reader == load_reader_config(SHIPPED)
    with closing(Bundle.open(out)) as bundle:
        reader = bundle.reader(1)
        assert reader is not None
        assert reader.config.min_score == 0.25
    with pytest.raises(FieldError, match=r"out: .* exists"):
        swap_reader(answering_bundle, mine, out)


def test_a_bundle_is_named_by_the_reader_that_is_put_in(
    answering_bundle: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(answering_bundle, tmp_path / "wiki.lurcher")
    first, _ = swap_reader(bundle, another_reader(tmp_path / "mine", name="ours, of March"))
    assert first == tmp_path / "wiki-ours-of-March.lurcher"
    second, _ = swap_reader(first, SHIPPED)
    assert second == tmp_path / f"wiki-{load_reader_config(SHIPPED).name}.lurcher"


def test_a_store_built_to_train_on_gets_its_reader(
    small_corpus: Path, out: Path, readerless: Path, tmp_path: Path
) -> None:
    bits = load_reader_config(SHIPPED).bits
    build(small_corpus, out, replace(ANSWERS, encoder=readerless, answer_bits=bits))
    _, manifest = swap_reader(out, SHIPPED, tmp_path / "answers.lurcher")
    assert manifest.reader == load_reader_config(SHIPPED)
    assert verify(tmp_path / "answers.lurcher") == []


def test_a_reader_that_cannot_be_put_in_leaves_nothing(
    answering_bundle: Path, small_bundle: Path, out: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        FieldError, match=r"bundle: .* has no codes to read; `lurcher build --answers`"
    ):
        swap_reader(small_bundle, SHIPPED, out)
    other = another_reader(tmp_path / "other", encoder=f"sha256:{'0' * 64}")
    with pytest.raises(ModelError, match="another encoder"):
        swap_reader(answering_bundle, other, out)
    broken = another_reader(tmp_path / "broken")
    (broken / READER_GRAPH).write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="no ONNX graph that can be read"):
        swap_reader(answering_bundle, broken, out)
    with pytest.raises(ModelNotFound, match="nowhere"):
        swap_reader(answering_bundle, tmp_path / "nowhere", out)
    assert not out.exists()


@pytest.mark.parametrize("derive", [swapped, reranked, adapted])
def test_a_bundle_made_of_another_answers_by_its_files(
    answering_bundle: Path,
    small_records: list[dict[str, Any]],
    out: Path,
    derive: Callable[..., None],
) -> None:
    derive(answering_bundle, out, small_records)
    assert verify(out) == []
    manifest, before = read_manifest(out), read_manifest(answering_bundle)
    assert (manifest.reading, manifest.reader) == (before.reading, before.reader)
    for file in OWN:
        assert (out / file).samefile(answering_bundle / file)
    with closing(Bundle.open(out)) as bundle:
        assert bundle.reader(1) is not None
