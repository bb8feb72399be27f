"""How much better words find a corpus's own phrases than vectors do: near nothing on short passages."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.lexical_gain import lexical_gain, own_phrases
from tests.tiny import PROFILES


@pytest.fixture(scope="module")
def long_bundle(build_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of sixty passages of a hundred words, drawn from the same few hundred."""
    draw = np.random.default_rng(5)
    common = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on", "with"]
    own = [f"{a}{b}{c}" for a in ("ka", "mo", "ri", "su", "te") for b in ("la", "no", "vi", "za")
           for c in ("ber", "dal", "fin", "gor", "hum", "jek")]  # fmt: skip
    words = np.array([*common, *common, *own])
    corpus = tmp_path_factory.mktemp("long") / "c.jsonl"
    records = [{"id": f"p{i}", "text": " ".join(draw.choice(words, 100))} for i in range(60)]
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    return build_once("long-passages", corpus)


def measured(path: Path) -> float:
    with closing(Bundle.open(path)) as bundle:
        gain = bundle.manifest.figures.lexical_gain
    assert gain is not None
    return gain


def test_words_gain_on_long_passages_and_not_on_short_ones(
    small_bundle: Path, long_bundle: Path
) -> None:
    assert measured(small_bundle) <= 0.05
    assert measured(long_bundle) > 0.2


def test_what_was_measured_is_what_the_bundle_finds(long_bundle: Path) -> None:
    """Of each phrase the place of its passage, by words and by vectors, one at a time."""
    with closing(Bundle.open(long_bundle)) as bundle:
        assert bundle.lexical is not None
        phrases = own_phrases(bundle.passages, bundle.manifest.build.seed)
        encoder, index = bundle.query_encoder(1), bundle.lexical
        gains = []
        for row, text in phrases:
            (vector,) = encoder.encode([text])
            ((_, near),) = bundle.vectors.top(vector[None], 100)
            worded = index.top(index.look_up(index.analyser.query_terms(text)), 100)[1]
            places = [rows.tolist() for rows in (worded, near)]
            by_words, by_vectors = (1 / (1 + one.index(row)) if row in one else 0 for one in places)
            gains.append(by_words - by_vectors)
        assert bundle.manifest.figures.lexical_gain == pytest.approx(np.mean(gains), abs=1e-3)


def test_another_query_encoder_is_measured_anew(long_bundle: Path, tmp_path: Path) -> None:
    swap_encoder(long_bundle, PROFILES["fast"], out := tmp_path / "fast.lurcher")
    with closing(Bundle.open(out)) as bundle:
        assert bundle.lexical is not None
        phrases = own_phrases(bundle.passages, bundle.manifest.build.seed)
        gain = lexical_gain(phrases, bundle.query_encoder(1), bundle.vectors, bundle.lexical)
    assert measured(out) == pytest.approx(gain, abs=1e-3)


def test_a_bundle_without_words_has_no_gain(
    build_once: Callable[..., Path], tmp_path: Path
) -> None:
    out = build_once("wordless", seed=1, lexical=None)
    with closing(Bundle.open(out)) as bundle:
        assert bundle.manifest.figures.lexical_gain is None
    swap_encoder(out, PROFILES["fast"], swapped := tmp_path / "fast.lurcher")
    with closing(Bundle.open(swapped)) as bundle:
        assert bundle.manifest.figures.lexical_gain is None


# The phrases.


def test_phrases_are_runs_of_their_passages_words(long_bundle: Path) -> None:
    with closing(Bundle.open(long_bundle)) as bundle:
        phrases = own_phrases(bundle.passages, 3)
        assert phrases == own_phrases(bundle.passages, 3)
        assert phrases != own_phrases(bundle.passages, 4)
        rows = [row for row, _ in phrases]
        assert rows == sorted(set(rows))
        assert len(rows) == min(250, bundle.passages.count)
        for (_, text), passage in zip(phrases, bundle.passages.get(rows), strict=True):
            assert f" {text} " in f" {passage.text} "
            assert len(text.split()) == 8


def test_odd_passages_have_short_phrases_or_none(
    build_once: Callable[..., Path], tmp_path: Path
) -> None:
    texts = {"empty": "", "blank": " \n ", "one": "telescope", "unspaced": "東京都" * 100}
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in texts.items()))
    with closing(Bundle.open(build_once("odd-phrases", corpus))) as bundle:
        phrases = dict(own_phrases(bundle.passages, 0))
        assert bundle.lexical is not None
        assert lexical_gain([], bundle.query_encoder(1), bundle.vectors, bundle.lexical) == 0.0
        ids = {row: bundle.passages.get([row])[0].document for row in phrases}
    assert set(ids.values()) == {"one", "unspaced"}
    assert {text for row, text in phrases.items() if ids[row] == "one"} == {"telescope"}
    assert all(len(text) <= 80 for text in phrases.values())
