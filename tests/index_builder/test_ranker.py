"""A decoder in a bundle: put there by a build or a swap, and refused where it does not fit."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from bundle.bundle import RANKER, VECTORS, Bundle, verify
from bundle.manifest import read_manifest
from index_builder.build import BuildOptions, build
from index_builder.ranker import swap_ranker
from index_builder.tokens import TokenOptions
from models.errors import BundleCorrupt, FieldError, ModelError, ModelNotFound
from models.pretrained import DEFAULT_ENCODER
from models.ranker.decoder import DECODER_FILE, load_decoder_config

SHIPPED = DEFAULT_ENCODER / RANKER


@pytest.fixture(scope="module")
def narrow(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of other codes than the shipped decoder reads."""
    out = tmp_path_factory.mktemp("narrow") / "narrow.lurcher"
    build(small_corpus, out, BuildOptions(tokens=TokenOptions(bits=64)))
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
    with pytest.raises(ModelError, match="another bits: 160, not 64"):
        build(small_corpus, out, BuildOptions(tokens=TokenOptions(bits=64), ranker=SHIPPED))
    assert not out.exists()
    with pytest.raises(ModelError, match="another bits: 160, not 64"):
        swap_ranker(narrow, SHIPPED, out)
    assert not out.exists()


def test_without_tokens_there_is_nothing_to_decode(small_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.lurcher"
    with pytest.raises(FieldError, match="ranker: needs tokens"):
        build(small_corpus, out, BuildOptions(tokens=None, ranker=SHIPPED))
    with pytest.raises(ModelNotFound, match="nowhere"):
        build(small_corpus, out, BuildOptions(ranker=tmp_path / "nowhere"))
    build(small_corpus, out, BuildOptions(tokens=None))
    assert read_manifest(out).ranker is None
    with pytest.raises(FieldError, match=r"bundle: .* no tokens"):
        swap_ranker(out, SHIPPED)


def test_a_swap_shares_all_else_and_the_old_bundle_stays(
    small_bundle: Path, tmp_path: Path
) -> None:
    decoder = tmp_path / "mine"
    shutil.copytree(SHIPPED, decoder)
    text = (decoder / DECODER_FILE).read_text().replace('"name": "squad-open"', '"name": "mine"')
    (decoder / DECODER_FILE).write_text(text)
    out, manifest = swap_ranker(small_bundle, decoder, tmp_path / "new.lurcher")
    assert manifest.ranker is not None
    assert manifest.ranker.name == "mine"
    assert verify(out) == verify(small_bundle) == []
    assert (out / VECTORS).samefile(small_bundle / VECTORS)
    assert read_manifest(small_bundle).ranker == load_decoder_config(SHIPPED)
    with pytest.raises(FieldError, match=r"out: .* exists"):
        swap_ranker(small_bundle, decoder, out)


def test_a_decoder_changed_in_the_bundle_is_found(small_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.lurcher"
    shutil.copytree(small_bundle, copy)
    file = copy / RANKER / DECODER_FILE
    file.write_text(file.read_text().replace('"width": 64', '"width": 32'))
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json"):
        Bundle.open(copy)
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json: not the manifest's decoder"):
        Bundle.open(copy, check_hashes=False)
    file.unlink()
    with pytest.raises(BundleCorrupt, match=r"ranker/decoder\.json"):
        Bundle.open(copy, check_hashes=False)
