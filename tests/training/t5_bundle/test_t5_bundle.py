"""A T5 in a bundle, from its checkpoint to a search that it orders."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import torch

import lurcher.cli
from lurcher.bundle.bundle import RANKER, Bundle
from lurcher.bundle.manifest import list_files, read_manifest, write_manifest
from lurcher.bundle.passages import Condition
from lurcher.bundle.state_codecs import SIGNS, Form
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, FieldError, ModelError, ModelNotFound
from lurcher.index_builder.build import BuildOptions, build
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE
from lurcher.models.pretrained import DEFAULT_ENCODER, PROFILES
from lurcher.models.ranker.seq2seq import DECODER_GRAPH, ENCODER_GRAPH
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import running, settings
from tests.training.t5_bundle.words import COUNTS, QUERY, STATES


@pytest.fixture(scope="module")
def bundle(corpus: Path, ranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "t5.lurcher"
    found = CliRunner().invoke(
        lurcher.cli.app, ["build", str(corpus), str(out), "--ranker", str(ranker)]
    )
    assert found.exit_code == 0, found.output
    return out


@pytest.fixture(scope="module")
def wanted(transformers: Any, checkpoint: Path, texts: list[str]) -> dict[str, float]:
    """The likelihood of the query after each passage, as transformers computes it."""
    network = transformers.T5ForConditionalGeneration.from_pretrained(checkpoint).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)

    def ids(text: str) -> Any:
        return tokenizer(text, truncation=True, max_length=32, return_tensors="pt").input_ids

    labels = ids(QUERY)
    with torch.inference_mode():
        return {
            str(i): -network(input_ids=ids(text), labels=labels).loss.item() * labels.shape[1]
            for i, text in enumerate(texts)
        }


def ask(bundle: Path, query: Query) -> SearchResult:
    with closing(Bundle.open(bundle)) as opened:
        (result,) = Snapshot(opened, 1).run([query])
    assert isinstance(result, SearchResult), result
    return result


def search(bundle: Path, **changes: Any) -> list[Hit]:
    return ask(bundle, Query(QUERY, 40, rank="t5", **changes)).hits


def assert_as_transformers(found: list[Hit], wanted: dict[str, float]) -> None:
    scores = [one.score for one in found]
    # float16 has 11 bits: of a sum of about 100 nats that leaves some hundredths.
    assert scores == pytest.approx([wanted[one.id] for one in found], abs=0.1)
    assert scores == sorted(scores, reverse=True)
    best = sorted(wanted.values(), reverse=True)
    assert scores == pytest.approx(best[: len(scores)], abs=0.1)


def test_hits_are_ordered_as_transformers_would(bundle: Path, wanted: dict[str, float]) -> None:
    found = search(bundle)
    assert len(found) == 40
    assert np.ptp(list(wanted.values())) > 5  # or any order would do
    assert_as_transformers(found, wanted)
    plain = ask(bundle, Query(QUERY, 40, rank="maxsim")).hits
    assert {f.id: f.scores["maxsim"] for f in found} == {f.id: f.scores["maxsim"] for f in plain}
    assert [f.id for f in found] != [f.id for f in plain]


def test_only_candidates_are_read(bundle: Path, wanted: dict[str, float]) -> None:
    first = ask(bundle, Query(QUERY, 7, rank="off")).hits
    with closing(Bundle.open(bundle)) as opened:
        (result,) = Snapshot(opened, 1).run([Query(QUERY, 7, rank="t5", candidates=7)])
    assert isinstance(result, SearchResult)
    ids = {f.id for f in first}
    assert {f.id for f in result.hits} == ids
    assert_as_transformers(result.hits, {id_: wanted[id_] for id_ in ids})


def test_no_time_left_is_no_reading(bundle: Path) -> None:
    result = ask(bundle, Query(QUERY, 40, rank="t5", deadline=0.0))
    assert result.degraded == ["retrieve_lexical", "rank"]
    plain = ask(bundle, Query(QUERY, 40, rank="off", retrieve="dense"))
    assert [f.id for f in result.hits] == [f.id for f in plain.hits]


def test_nothing_found_is_nothing_read(bundle: Path) -> None:
    below_all = Condition("n", "range", (None, None, -1, None))
    assert search(bundle, conditions=(below_all,)) == []


def test_a_bundle_keeps_what_serving_needs(bundle: Path, ranker: Path) -> None:
    assert verify(bundle) == []
    files = {file.name for file in (bundle / RANKER).iterdir()}
    assert files == {CONFIG_FILE, TOKENIZER_FILE, DECODER_GRAPH}
    states = read_manifest(bundle).states
    assert states is not None
    assert states.form == "float16"
    assert states.bytes == (bundle / STATES).stat().st_size + (bundle / COUNTS).stat().st_size
    assert not (bundle / SIGNS).exists()
    shown = CliRunner().invoke(lurcher.cli.app, ["inspect", str(bundle)]).output
    assert re.search(r"\nstates\n  form +float16\n", shown)


def test_a_server_says_what_the_t5_reads(bundle: Path) -> None:
    states = read_manifest(bundle).states
    assert states is not None
    with running(settings(bundle)) as client:
        body = client.get("/v1/bundle").json()
    assert body["ranker"]["architecture"] == "t5"
    assert body["states"] == {
        "form": "float16", "states": states.states, "truncated": states.truncated, "bytes": states.bytes,
    }  # fmt: skip


def test_another_graph_under_the_decoders_name_is_found(
    bundle: Path, ranker: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy.lurcher")
    shutil.copyfile(ranker / ENCODER_GRAPH, copy / RANKER / DECODER_GRAPH)
    changed = read_manifest(copy).model_copy(update={"files": list_files(copy)})
    write_manifest(copy, changed)
    (line,) = verify(copy)
    assert f"{RANKER}: " in line
    assert "its graphs are not those that it describes" in line


@pytest.mark.parametrize("form", ["float16", "1-bit"])
def test_it_needs_no_tokens(
    corpus: Path, ranker: Path, tmp_path: Path, wanted: dict[str, float], form: Form
) -> None:
    out = tmp_path / "out.lurcher"
    build(corpus, out, BuildOptions(tokens=None, ranker=ranker, states=form))
    assert verify(out) == []
    found = search(out)
    assert len(found) == 40
    assert all("maxsim" not in one.scores for one in found)
    if form == "float16":
        assert_as_transformers(found, wanted)
    assert (out / SIGNS).exists() == (form == "1-bit")
    off, auto = (ask(out, Query(QUERY, 40, rank=rank)) for rank in ("off", "auto"))  # type: ignore[arg-type]
    assert off.hits == auto.hits
    with closing(Bundle.open(out)) as opened:
        (refused,) = Snapshot(opened, 1).run([Query(QUERY, rank="maxsim")])
    assert isinstance(refused, FieldError)


def test_a_swapped_encoder_keeps_it(bundle: Path, tmp_path: Path) -> None:
    out, manifest = swap_encoder(bundle, PROFILES["fast"], tmp_path / "fast.lurcher")
    assert verify(out) == []
    assert manifest.states == read_manifest(bundle).states
    before, after = search(bundle), search(out)
    assert [f.id for f in after] == [f.id for f in before]


def test_a_decoder_takes_its_place(bundle: Path, ranker: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="only `lurcher build` makes"):
        swap_ranker(bundle, ranker, tmp_path / "t5.lurcher")
    out, manifest = swap_ranker(bundle, DEFAULT_ENCODER / RANKER, tmp_path / "new.lurcher")
    assert manifest.states is None
    assert not (out / STATES).exists()
    assert (bundle / STATES).exists()
    assert verify(out) == []


# What does not fit.


def broken(bundle: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy whose manifest is changed, and knows all files as they are."""
    copy = tmp_path / "broken.lurcher"
    if not copy.exists():
        shutil.copytree(bundle, copy)
    update = {"files": list_files(copy), **changes}
    write_manifest(copy, read_manifest(bundle).model_copy(update=update))
    return copy


@pytest.mark.parametrize("name", [STATES, COUNTS, f"{RANKER}/{CONFIG_FILE}"])
def test_files_that_do_not_fit_are_corrupt(bundle: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "broken.lurcher"
    shutil.copytree(bundle, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:-3])
    with pytest.raises(BundleCorrupt, match=re.escape(name)):
        Bundle.open(broken(bundle, tmp_path))


@pytest.mark.parametrize("part", ["states", "ranker"])
def test_one_without_the_other_is_corrupt(bundle: Path, tmp_path: Path, part: str) -> None:
    with pytest.raises(BundleCorrupt, match="only one"):
        Bundle.open(broken(bundle, tmp_path, **{part: None}))


def test_another_rankers_configuration_is_corrupt(bundle: Path, tmp_path: Path) -> None:
    config = read_manifest(bundle).ranker
    assert config is not None
    other = config.model_copy(update={"name": "other"})
    with pytest.raises(BundleCorrupt, match=re.escape(f"{RANKER}/{CONFIG_FILE}: not the")):
        Bundle.open(broken(bundle, tmp_path, ranker=other))


def test_a_folder_of_neither_kind_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"neither decoder\.json.* nor config\.json"):
        build(corpus, tmp_path / "o.lurcher", BuildOptions(ranker=tmp_path / "empty"))
    with pytest.raises(ModelError, match="not a ranker's configuration"):  # an encoder's
        build(corpus, tmp_path / "o.lurcher", BuildOptions(ranker=DEFAULT_ENCODER))
    assert [file.name for file in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("graph", [ENCODER_GRAPH, DECODER_GRAPH])
def test_a_t5_without_a_graph_is_refused(
    corpus: Path, ranker: Path, tmp_path: Path, graph: str
) -> None:
    shutil.copytree(ranker, tmp_path / "t5")
    (tmp_path / "t5" / graph).unlink()
    with pytest.raises(ModelError, match=graph):
        build(corpus, tmp_path / "o.lurcher", BuildOptions(ranker=tmp_path / "t5"))
    assert [file.name for file in tmp_path.iterdir()] == ["t5"]


def test_states_are_a_t5s(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="states"):
        build(corpus, tmp_path / "o.lurcher", BuildOptions(states="1-bit"))
    assert not list(tmp_path.iterdir())


def test_a_t5_writes_an_answer_of_all_passages_that_are_read(bundle: Path) -> None:
    with running(settings(bundle)) as client:
        asked = {"query": QUERY, "read_depth": 3, "write": True}
        reply = client.post("/v1/answer", asked).json()
        alone = client.post("/v1/answer", {**asked, "read_depth": 1}).json()
        refused = client.post("/v1/answer", {"query": QUERY})
        searched = client.post("/v1/search", {"query": QUERY, "top_k": 3}).json()
    assert reply["answers"] == []
    assert not reply["answered"]
    assert reply["written"]["passages"] == [hit["id"] for hit in searched["hits"]]
    with closing(Bundle.open(bundle)) as opened:
        decoder, states = opened.t5(1), opened.states
        assert decoder is not None
        assert states is not None
        for found in (reply, alone):
            rows = opened.passages.rows_of(found["written"]["passages"])
            order = np.array([rows[id_] for id_ in found["written"]["passages"]])
            text, score = decoder.write(QUERY, states.gather(order), 48)
            assert found["written"]["text"] == text
            assert found["written"]["score"] == pytest.approx(score, abs=1e-4)
    assert refused.status == 422
    assert "lurcher build --answers" in refused.json()["detail"]
