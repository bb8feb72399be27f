"""A decoder in a bundle: put there by a build or a swap, and refused where it does not fit."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import RANKER, VECTORS, Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, FieldError, ModelError, ModelNotFound
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.index_builder.options import TokenOptions
from lurcher.models.ranker.decoder import DECODER_FILE, PAIR_GRAPH, Decoder, load_decoder_config
from lurcher.models.tokens.projection import PROJECTION_FILE
from tests.index_builder.test_resume import Recorder
from tests.tiny import TINY, TinyOptions, build

SHIPPED = TINY / RANKER


@pytest.fixture(scope="module")
def narrow(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of other codes than the decoder reads."""
    out = tmp_path_factory.mktemp("narrow") / "narrow.lurcher"
    build(small_corpus, out, TinyOptions(tokens=TokenOptions(bits=64)))
    return out


def test_the_encoders_own_decoder_comes_with_its_codes(small_bundle: Path, narrow: Path) -> None:
    assert read_manifest(small_bundle).ranker == load_decoder_config(SHIPPED)
    assert read_manifest(narrow).ranker is None
    assert not (narrow / RANKER).exists()
    with closing(Bundle.open(small_bundle)) as bundle:
        assert bundle.decoder(1) is not None
    with closing(Bundle.open(narrow)) as bundle:
        assert bundle.decoder(1) is None


def test_a_decoder_of_other_codes_is_refused_by_name(
    small_corpus: Path, narrow: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    with pytest.raises(ModelError, match="another bits: 96, not 64"):
        build(small_corpus, out, TinyOptions(tokens=TokenOptions(bits=64), ranker=SHIPPED))
    assert not out.exists()
    with pytest.raises(ModelError, match="another bits: 96, not 64"):
        swap_ranker(narrow, SHIPPED, out)
    assert not out.exists()


def test_without_tokens_there_is_nothing_to_decode(small_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.lurcher"
    with pytest.raises(FieldError, match="ranker: needs tokens"):
        build(small_corpus, out, TinyOptions(tokens=None, ranker=SHIPPED))
    with pytest.raises(ModelNotFound, match="nowhere"):
        build(small_corpus, out, TinyOptions(ranker=tmp_path / "nowhere"))
    build(small_corpus, out, TinyOptions(tokens=None))
    assert read_manifest(out).ranker is None
    with pytest.raises(FieldError, match=r"bundle: .* no tokens"):
        swap_ranker(out, SHIPPED)


def test_a_swap_shares_all_else_and_the_old_bundle_stays(
    small_bundle: Path, tmp_path: Path
) -> None:
    decoder = tmp_path / "mine"
    shutil.copytree(SHIPPED, decoder)
    text = (decoder / DECODER_FILE).read_text().replace('"name": "tiny"', '"name": "mine"')
    (decoder / DECODER_FILE).write_text(text)
    out, manifest = swap_ranker(small_bundle, decoder, tmp_path / "new.lurcher")
    assert manifest.ranker is not None
    assert manifest.ranker.name == "mine"
    assert verify(out) == verify(small_bundle) == []
    assert (out / VECTORS).samefile(small_bundle / VECTORS)
    assert read_manifest(small_bundle).ranker == load_decoder_config(SHIPPED)
    with pytest.raises(FieldError, match=r"out: .* exists"):
        swap_ranker(small_bundle, decoder, out)


def test_a_swapped_bundle_is_named_by_its_decoder(small_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "wiki.lurcher")
    ours = changed(tmp_path / "made" / "ranker", name="ours, of March")
    first, _ = swap_ranker(bundle, ours)
    assert first == tmp_path / "wiki-ours-of-March.lurcher"
    second, manifest = swap_ranker(first, SHIPPED)
    assert second == tmp_path / "wiki-tiny.lurcher"
    assert manifest.ranker is not None
    assert manifest.ranker.name == "tiny"


def test_a_decoder_changed_in_the_bundle_is_found(small_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.lurcher"
    shutil.copytree(small_bundle, copy)
    file = copy / RANKER / DECODER_FILE
    file.write_text(file.read_text().replace('"width": 16', '"width": 32'))
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json"):
        Bundle.open(copy)
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json: not the manifest's decoder"):
        Bundle.open(copy, check_hashes=False)
    file.unlink()
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json"):
        Bundle.open(copy, check_hashes=False)


# What does not fit is said before the corpus is encoded.


def changed(folder: Path, **fields: Any) -> Path:
    """A copy of the decoder in ``folder`` that says other things of itself."""
    shutil.copytree(SHIPPED, folder)
    said = json.loads((folder / DECODER_FILE).read_text())
    (folder / DECODER_FILE).write_text(json.dumps(said | fields))
    return folder


OTHER = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"encoder": OTHER}, "another encoder"), ({"projection_hash": OTHER}, "another projection")],
)
def test_a_decoder_that_cannot_fit_is_refused_before_the_corpus_is_read(
    small_corpus: Path, tmp_path: Path, fields: dict[str, str], what: str
) -> None:
    ranker = changed(tmp_path / "other", **fields)
    with pytest.raises(ModelError, match=what):
        build(small_corpus, tmp_path / "out.lurcher", TinyOptions(ranker=ranker))
    assert not (tmp_path / "out.lurcher.partial").exists()


def test_an_unfinished_decoder_is_refused_before_the_corpus_is_read(
    small_corpus: Path, tmp_path: Path
) -> None:
    ranker = changed(tmp_path / "half")
    (ranker / PAIR_GRAPH).unlink()
    with pytest.raises(ModelError, match=PAIR_GRAPH):
        build(small_corpus, tmp_path / "out.lurcher", TinyOptions(ranker=ranker))
    assert not (tmp_path / "out.lurcher.partial").exists()


def test_a_decoder_of_other_principal_components_is_refused_before_encoding(
    small_corpus: Path, tmp_path: Path
) -> None:
    """What they are is known when the corpus was sampled."""
    encoder = tmp_path / "encoder"
    shutil.copytree(TINY, encoder)
    (encoder / PROJECTION_FILE).unlink()
    recorder = Recorder()
    with pytest.raises(ModelError, match="another projection"):
        build(
            small_corpus,
            tmp_path / "out.lurcher",
            TinyOptions(encoder=encoder, ranker=SHIPPED),
            recorder,
        )
    assert set(recorder.stages) == {"reading", "indexing terms", "calibrating"}


def test_a_graph_with_weights_beside_it_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the [train] extra is not installed")
    ranker = changed(tmp_path / "split")
    graph = ranker / PAIR_GRAPH
    model = onnx.load(graph)
    onnx.save(model, graph, save_as_external_data=True, location="weights.bin", size_threshold=0)
    Decoder.load(ranker, 1)
    with pytest.raises(ModelError, match="split: its graphs keep weights in files beside them"):
        swap_ranker(small_bundle, ranker, tmp_path / "out.lurcher")
    assert not (tmp_path / "out.lurcher").exists()
