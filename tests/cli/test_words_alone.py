"""Bundles without vectors on the command line: build, inspect, verify, search, eval, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.bundle.manifest import read_manifest
from tests.cli.running import Run, complaint, output
from tests.tiny import BY_TINY

CONTRADICTIONS = [
    ["--no-lexical"], ["--token-bits", "64"], ["--keep-ratio", "0.5"], ["--answers"],
    ["--index", "Flat"], ["--recall", "0.9"], ["--states", "1-bit"], ["--ranker", "somewhere"],
]  # fmt: skip


def test_a_build_encodes_nothing_if_it_is_told_so(
    run: Run, small_corpus: Path, tmp_path: Path
) -> None:
    flags = ["--no-vectors", "--language", "german"]
    output(run("build", small_corpus, "words.lurcher", *flags, *BY_TINY))
    manifest = read_manifest(tmp_path / "words.lurcher")
    assert manifest.encoder is None
    assert manifest.lexical is not None
    assert manifest.lexical.language == "german"
    assert output(run("verify", "words.lurcher"))


@pytest.mark.parametrize("flags", CONTRADICTIONS, ids=lambda flags: flags[0])
def test_flags_for_what_is_left_out_are_one_line(
    run: Run, small_corpus: Path, tmp_path: Path, flags: list[str]
) -> None:
    said = complaint(run("build", small_corpus, "out.lurcher", "--no-vectors", *flags, *BY_TINY))
    assert said.startswith("no_vectors: leaves no")
    assert flags[0] in said
    assert not list(tmp_path.iterdir())


def test_a_profile_contradicts_it(run: Run, small_corpus: Path) -> None:
    said = complaint(run("build", small_corpus, "--no-vectors", "--profile", "fast"))
    assert said.startswith("no_vectors: leaves nothing to use --profile for")


def test_inspect_shows_words_and_no_encoder(run: Run, words_bundle: Path) -> None:
    shown = output(run("inspect", words_bundle))
    assert "\nlexical\n" in shown
    assert "\nencoder\n" not in shown
    assert "\ntokens\n" not in shown
    assert "recall_at_100" not in shown


def test_search_and_eval_find_by_words(run: Run, words_bundle: Path, tmp_path: Path) -> None:
    printed = output(run("search", words_bundle, "oboe concert", "--json")).splitlines()
    assert {json.loads(line)["id"].split("-")[1] for line in printed} == {"music"}
    assert complaint(run("search", words_bundle, "oboe", "--retrieve", "dense")).startswith(
        "retrieve: this bundle has no vectors"
    )
    pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
    (tmp_path / "q.jsonl").write_text('{"_id": "q", "text": "Der Gletscher formt ein Tal"}\n')
    judged = "".join(f"q\tde-earth-{n}\t1\n" for n in range(4))
    (tmp_path / "q.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    output(
        run("eval", words_bundle, "--queries", "q.jsonl", "--qrels", "q.tsv", "--json", "out.json")
    )
    assert json.loads((tmp_path / "out.json").read_text())["figures"]["nDCG@10"]["mean"] == 1


def test_commands_that_read_vectors_are_one_line(
    run: Run, words_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "clicks.jsonl").write_text('{"query": "oboe", "passage": "en-music-0"}\n')
    for words in (
        ["swap-encoder", words_bundle, "best", "out.lurcher"],
        ["adapt", words_bundle, "--clicks", "clicks.jsonl", "--out", "out.lurcher"],
    ):
        assert "this bundle has no vectors; `lurcher build` without" in complaint(run(*words))
    assert not (tmp_path / "out.lurcher").exists()
