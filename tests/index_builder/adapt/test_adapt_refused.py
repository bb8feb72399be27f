"""Known queries that are refused, before anything is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.bundle.bundle import ENCODER, PASSAGES
from lurcher.bundle.manifest import list_files, read_manifest, write_manifest
from lurcher.errors import BundleError, FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.encoders.config import CONFIG_FILE, load_config
from tests.index_builder.adapt.known import OPTIONS, State, content, known_queries


@pytest.fixture
def refuse(state: State) -> Callable[..., None]:
    """A function that fails unless known queries are refused and everything stays as it was."""

    def refused(
        bundle: Path, judged: Judged, named: str, options: NeighbourOptions = OPTIONS
    ) -> None:
        before = state(bundle)
        out = bundle.parent / "new" / "out.lurcher"
        with pytest.raises(FieldError, match=named):
            adapt(bundle, judged, options, out)
        assert state(bundle) == before
        assert list(bundle.parent.rglob("*out*")) == []
        if out.parent.exists():
            assert list(out.parent.iterdir()) == []

    return refused


def test_unknown_passages_are_counted_or_left_out(old: Path, refuse: Callable[..., None]) -> None:
    known = known_queries()
    known[0].labels.update({"nowhere-1": 1.0, "nowhere-2": 1.0})
    known.append(Known("lost", "nobody answers it", {"nowhere-1": 1.0}, "known.tsv"))
    refuse(
        old, Judged(known), r"2 of 23 judged passages .*'nowhere-1', 'nowhere-2'.*--skip-unknown"
    )
    out, _ = adapt(old, Judged(known), NeighbourOptions(skip_unknown=True))
    assert set(content(out)) == {query.id for query in known_queries()}
    assert content(out)["en0"][2] == {"en-animals-0": 1.0}


def test_judgements_of_another_corpus_are_refused(old: Path, refuse: Callable[..., None]) -> None:
    others = [replace(query, labels={f"x{query.id}": 1.0}) for query in known_queries()]
    skipping = NeighbourOptions(skip_unknown=True)
    refuse(old, Judged(others), "none of 15 judged passages is in the bundle", skipping)


def test_what_is_there_already_is_left_alone(old: Path, state: State) -> None:
    before = state(old)
    with pytest.raises(FieldError, match=r"out: .*small\.lurcher exists"):
        adapt(old, Judged(known_queries()), OPTIONS, old)
    dangling = old.with_name("dangling.lurcher")
    dangling.symlink_to("nowhere")
    with pytest.raises(FieldError, match=r"out: .*dangling\.lurcher exists"):
        adapt(old, Judged(known_queries()), OPTIONS, dangling)
    assert state(old) == before


@pytest.mark.parametrize("keep", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(keep: float) -> None:
    with pytest.raises(FieldError, match=r"keep_unseen: .* is not from 0 to 1"):
        NeighbourOptions(keep_unseen=keep)


def test_an_encoder_made_for_dot_products_is_refused(
    old: Path, refuse: Callable[..., None]
) -> None:
    config = load_config(old / ENCODER).model_copy(update={"similarity": "dot"})
    (old / ENCODER / CONFIG_FILE).write_text(config.model_dump_json())
    manifest = read_manifest(old)
    changed = {"encoder": config, "files": list_files(old)}
    write_manifest(old, manifest.model_copy(update=changed))
    refuse(old, Judged(known_queries()), "made for dot products")


def test_no_bundle_or_a_damaged_one_is_not_built_upon(old: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        adapt(tmp_path / "none", Judged(known_queries()), OPTIONS)
    with (old / PASSAGES).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=PASSAGES):
        adapt(old, Judged(known_queries()), OPTIONS)
    assert list(old.parent.iterdir()) == [old]
