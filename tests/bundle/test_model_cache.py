"""Models are loaded once for all bundles that have the same files, and go with the last of them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.model_cache import ModelCache
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot


def snapshot(path: Path, cache: ModelCache) -> Snapshot:
    return Snapshot(Bundle.open(path), 1, "onnxruntime", cache=cache)


def test_bundles_of_one_encoder_share_it_and_answer_as_alone(
    answering_bundle: Path, tokenless_bundle: Path
) -> None:
    cache = ModelCache()
    one, other = (snapshot(path, cache) for path in (answering_bundle, tokenless_bundle))
    assert one.embedder.queries is other.embedder.queries
    alone = snapshot(tokenless_bundle, ModelCache())
    assert alone.embedder.queries is not other.embedder.queries
    for found in (other, alone):
        (result,) = found.run([Query("a sleeping cat", 5)])
        assert isinstance(result, SearchResult)
        assert result.hits
    for opened in (one, other, alone):
        opened.close()


class Model:
    """Something that can be referred to weakly."""


def test_another_file_or_use_is_another_model(small_bundle: Path) -> None:
    cache, manifest = ModelCache(), read_manifest(small_bundle)
    config = manifest.files["encoder/config.json"]
    changed = {"encoder/config.json": config.model_copy(update={"sha256": "0" * 64})}
    other = manifest.model_copy(update={"files": manifest.files | changed})
    first = cache.get(manifest, "encoder", ("query", 1), Model)
    assert cache.get(read_manifest(small_bundle), "encoder", ("query", 1), Model) is first
    asked = [
        (other, "encoder", ("query", 1)),
        (manifest, "encoder", ("query", 2)),
        (manifest, "reader", ()),
    ]
    assert all(cache.get(*one, Model) is not first for one in asked)


def test_a_model_goes_with_the_last_bundle_that_uses_it(small_bundle: Path) -> None:
    cache = ModelCache()
    one, other = snapshot(small_bundle, cache), snapshot(small_bundle, cache)
    encoder = weakref.ref(one.embedder.queries)
    one.close()
    del one
    gc.collect()
    assert encoder() is other.embedder.queries
    other.close()
    del other
    gc.collect()
    assert encoder() is None
