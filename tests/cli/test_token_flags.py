"""Tokens on the command line: whether a build keeps them, what they take, and whether they rank."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.token_store import CODER
from tests.cli.running import Run, complaint, output
from tests.server.serving import running, settings
from tests.tiny import BY_TINY

QUERY = "music before the concert starts"


def hits(run: Run, bundle: Path, *words: str) -> list[dict[str, Any]]:
    shown = output(run("search", bundle, QUERY, "--json", *words))
    return [json.loads(line) for line in shown.splitlines()]


# Building.


def test_a_build_keeps_tokens_unless_it_is_told_not_to(
    run: Run, small_corpus: Path, tmp_path: Path
) -> None:
    output(run("build", small_corpus, "plain.lurcher", "--no-tokens", *BY_TINY))
    assert read_manifest(tmp_path / "plain.lurcher").tokens is None
    assert "\ntokens\n" not in output(run("inspect", "plain.lurcher"))
    flags = ["--token-bits", "64", "--keep-ratio", "0.5"]
    output(run("build", small_corpus, "own.lurcher", *flags, *BY_TINY))
    tokens = read_manifest(tmp_path / "own.lurcher").tokens
    assert tokens is not None
    assert (tokens.bits, tokens.keep_ratio) == (64, 0.5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--token-bits", "20"], "token_bits: must be a multiple of 8 from 8 to 96"),
        (["--token-bits", "104"], "token_bits: must be a multiple of 8 from 8 to 96"),
        (["--keep-ratio", "0"], "keep_ratio: must be above 0 and at most 1"),
        (["--no-tokens", "--token-bits", "64"], "no_tokens: leaves nothing to set"),
        (["--no-tokens", "--keep-ratio", "1"], "no_tokens: leaves nothing to set"),
    ],
)
def test_tokens_that_cannot_be_are_one_line(
    run: Run, small_corpus: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    assert complaint(run("build", small_corpus, "out.lurcher", *flags, *BY_TINY)).startswith(said)
    assert not list(tmp_path.iterdir())


def test_inspect_counts_everything_that_tokens_take(run: Run, small_bundle: Path) -> None:
    manifest = read_manifest(small_bundle)
    tokens, coder = manifest.tokens, manifest.files[CODER].bytes
    assert tokens is not None
    files = [manifest.files[f"segments/000000/tokens.{part}"] for part in ("bin", "pos", "idx")]
    total = sum(file.bytes for file in files) + coder
    _, _, section = output(run("inspect", small_bundle)).partition("\ntokens\n")
    lines = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in section.splitlines()[:7])
    assert lines == {
        "bits": f"{tokens.bits}, of 96 dimensions",
        "keep ratio": f"{tokens.keep_ratio}",
        "tokens": f"{tokens.tokens:,}, {tokens.tokens / 60:.1f} a passage",
        "codes": f"{tokens.codes:,}, {tokens.codes / 60:.1f} a passage",
        "bytes": f"{total:,}, with {coder:,} of the coder",
        "bytes a passage": f"{total / 60:,.1f}; {192 * tokens.tokens / 60:,.1f} as float16 states",
        "bytes a token": f"{total / tokens.tokens:,.2f}; 192 as float16 states",
    }


def test_inspect_knows_a_bundle_of_empty_passages(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": ""}\n')
    output(run("build", "c.jsonl", *BY_TINY))
    assert re.search(r"tokens +0, 0\.0 a passage", output(run("inspect", "c.lurcher")))


# Searching.


def test_hits_are_ranked_where_there_are_tokens(
    run: Run, small_bundle: Path, tokenless_bundle: Path
) -> None:
    ranked, plain = hits(run, small_bundle), hits(run, tokenless_bundle)
    assert ranked == hits(run, small_bundle, "--rank", "maxsim")
    assert plain == hits(run, tokenless_bundle, "--rank", "off")
    assert [hit["score"] for hit in ranked] != [hit["score"] for hit in plain]
    off = hits(run, small_bundle, "--rank", "off")
    assert [hit["id"] for hit in off] == [hit["id"] for hit in plain]
    assert [hit["score"] for hit in off] == pytest.approx([hit["score"] for hit in plain])


def test_candidates_are_what_is_ranked(run: Run, small_bundle: Path) -> None:
    """Of as few as are shown, ranking changes the order and no more."""
    first = {hit["id"] for hit in hits(run, small_bundle, "--rank", "off", "-k", "8")}
    few = hits(run, small_bundle, "--candidates", "8", "-k", "8")
    assert {hit["id"] for hit in few} == first
    assert hits(run, small_bundle) == hits(run, small_bundle, "--candidates", "100")
    line = complaint(run("search", small_bundle, QUERY, "--candidates", "7", "-k", "8"))
    assert line == "candidates: must be at least --top-k, which is 8"


def test_a_bundle_without_tokens_says_how_to_get_them(run: Run, tokenless_bundle: Path) -> None:
    line = complaint(run("search", tokenless_bundle, QUERY, "--rank", "maxsim"))
    assert line.startswith("rank: ")
    assert "lurcher build" in line


@pytest.mark.parametrize("flags", [["--rank", "best"], ["--candidates", "0"]])
def test_a_rank_that_cannot_be_is_named(run: Run, small_bundle: Path, flags: list[str]) -> None:
    ended = run("search", small_bundle, QUERY, *flags)
    assert ended.returncode == 2
    assert flags[0] in ended.stderr


# Measuring.


@pytest.fixture
def judged(small_records: list[dict[str, Any]], tmp_path: Path) -> list[str]:
    """Queries whose answers the first stage finds, but not always first."""
    pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "test.tsv"
    texts = {r["id"]: f"{r['tags'][0]} in {r['lang']}, note {r['id'][-1]}" for r in small_records}
    queries.write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts.items()))
    lines = [f"{id_}\t{id_}\t1" for id_ in texts]
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return ["--queries", str(queries), "--qrels", str(qrels)]


def measured(run: Run, folder: Path, *words: str | Path) -> Any:
    output(run("eval", *words, "--json", "out.json"))
    return json.loads((folder / "out.json").read_text())


def test_eval_compares_a_bundle_with_itself_ranked_otherwise(
    run: Run, small_bundle: Path, tokenless_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    ranked = measured(run, tmp_path, small_bundle, *judged, "--against-rank", "off")
    off = measured(run, tmp_path, small_bundle, *judged, "--rank", "off")
    assert off["against"] == []
    assert ranked["figures"] != off["figures"]
    for name, change in ranked["against"][0]["differences"].items():
        wanted = off["figures"][name]["mean"] - ranked["figures"][name]["mean"]
        assert change["mean"] == pytest.approx(wanted, abs=1e-9)
    # Another target's own way of ranking; this one has no choice.
    same = measured(
        run, tmp_path, small_bundle, *judged, "--rank", "off", "--against", tokenless_bundle
    )
    assert all(change["mean"] == 0 for change in same["against"][0]["differences"].values())
    line = complaint(run("eval", small_bundle, *judged, "--against", tokenless_bundle,
                         "--against-rank", "maxsim"))  # fmt: skip
    assert line.startswith("rank: ")


def test_eval_finds_no_more_than_are_ranked(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    flags = ["--candidates", "2", "--against-rank", "off"]
    found = measured(run, tmp_path, small_bundle, *judged, *flags)
    assert found["figures"]["Recall@100"]["mean"] < 1
    # Without ranking, as many as ever.
    whole = (
        found["figures"]["Recall@100"]["mean"]
        + found["against"][0]["differences"]["Recall@100"]["mean"]
    )
    assert whole == pytest.approx(1)


def test_a_server_is_asked_to_rank_as_a_bundle_is(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    flags = ["--rank", "off", "--candidates", "20", "--against-rank", "maxsim"]
    with running(settings(small_bundle)) as client:
        over_http = measured(run, tmp_path, client.url, *judged, *flags)
    on_disk = measured(run, tmp_path, small_bundle, *judged, *flags)
    assert over_http["figures"] == on_disk["figures"]
    (theirs,), (mine,) = over_http["against"], on_disk["against"]
    assert theirs["differences"] == mine["differences"]
    assert any(change["mean"] for change in mine["differences"].values())
