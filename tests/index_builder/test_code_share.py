"""What of a corpus is code, and the preset that a build chooses by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.manifest import Manifest, read_manifest
from lurcher.errors import FieldError
from lurcher.index_builder.build import BuildOptions
from lurcher.index_builder.code_share import code_share, is_code

CODE = [
    'def double(numbers):\n    """Twice each of them."""\n    return [2 * one for one in numbers]',
    "static int least(const int *of, size_t count)\n{\n    int low = of[0];\n    return low;\n}",
    "for (const name of Object.keys(found)) {\n  if (!seen.has(name)) { add(found[name]); }\n}",
    'for file in "$@"; do\n  gzip -9 < "$file" > "$out/$file.gz" || exit 1\ndone',
    "SELECT id, COUNT(*) FROM passages WHERE (year >= 1990) AND kind = 'a' GROUP BY id;",
]
PROSE = [
    "The bridge (built in 1890) was closed for two years; it carries 12,000 vehicles a day.",
    "Mean age at the first visit was 61 years, and a third of patients had a raised level (p < 0.05).",
    "Call `open(path)` first: it returns a handle, which has to be closed when you are done with it.",
    "Усадьба была построена в 1842 году (архитектор неизвестен).",
    "水道橋は1890年に（二人の技師によって）建てられ、いまも市の北側に水を送っている。",
    "",
    " \n ",
]


@pytest.mark.parametrize("text", CODE)
def test_code_of_any_language_is_code(text: str) -> None:
    assert is_code(text)


@pytest.mark.parametrize("text", PROSE)
def test_prose_with_brackets_and_names_is_not(text: str) -> None:
    assert not is_code(text)


def test_the_share_is_of_texts() -> None:
    assert code_share([*CODE, *CODE, PROSE[0], PROSE[1]]) == pytest.approx(10 / 12)
    assert code_share([]) == 0.0


@pytest.fixture
def built(build_once: Callable[..., Path], tmp_path: Path) -> Callable[..., Manifest]:
    """A function that gives the manifest of the bundle of texts, built once under a name."""

    def of(name: str, texts: list[str], **options: Any) -> Manifest:
        records = [json.dumps({"id": f"p{i}", "text": text}) for i, text in enumerate(texts)]
        corpus = tmp_path / "c.jsonl"
        corpus.write_text("\n".join(records) + "\n")
        return read_manifest(build_once(name, corpus, **options))

    return of


def test_a_corpus_of_which_half_is_code_is_weighed_as_code(built: Callable[..., Manifest]) -> None:
    manifest = built("half-code", CODE + PROSE[:5])
    assert manifest.figures.code_share == 0.5
    assert manifest.build.preset == "code"


def test_less_code_is_weighed_as_prose_unless_code_is_asked_for(
    built: Callable[..., Manifest],
) -> None:
    texts = CODE[:4] + PROSE[:5]
    assert built("some-code", texts).build.preset == "prose"
    forced = built("asked-code", texts, preset="code")
    assert forced.build.preset == "code"
    assert forced.figures.code_share == pytest.approx(4 / 9, abs=1e-3)


def test_a_bundle_that_says_nothing_is_weighed_as_prose(small_bundle: Path) -> None:
    """As one of before there were presets."""
    found = read_manifest(small_bundle).model_dump()
    del found["build"]["preset"], found["figures"]["code_share"]
    assert Manifest.model_validate(found).build.preset == "prose"


def test_without_vectors_nothing_is_weighed(built: Callable[..., Manifest]) -> None:
    manifest = built("worded-code", CODE, vectors=False, tokens=None)
    assert manifest.figures.code_share is None
    assert manifest.build.preset == "prose"
    with pytest.raises(FieldError, match=r"^no_vectors: .*--preset"):
        BuildOptions(vectors=False, tokens=None, preset="code")


def test_a_preset_that_is_not_known_is_refused() -> None:
    with pytest.raises(FieldError, match=r"^preset: must be one of auto, prose, code, not 'poem'"):
        BuildOptions(preset="poem")  # type: ignore[arg-type]  # that is what is tested
