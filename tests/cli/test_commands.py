"""The command line as a person uses it: what it prints, and how it fails."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lurcher.index_builder.demo import demo_path
from lurcher.models.encoders.student import Figure
from lurcher.server.settings import Settings
from tests.cli.running import Run, complaint, hidden, output
from tests.tiny import BY_TINY
from tests.verbs import VERBS, flags


def damage(bundle: Path, file: str) -> None:
    raw = bytearray((bundle / file).read_bytes())
    raw[len(raw) // 2] ^= 1
    (bundle / file).write_bytes(raw)


def test_help_lists_every_verb(run: Run) -> None:
    shown = output(run("--help"))
    assert [verb for verb in VERBS if f" {verb.split()[0]} " not in shown] == []


def test_a_process_prints_and_ends_as_the_commands_here_do(
    run: Run, start: Run, small_bundle: Path
) -> None:
    for words, status in (
        (["--help"], 0),
        (["search", small_bundle, "a sleeping cat", "--json"], 0),
        (["search", small_bundle, "  "], 1),
        (["search", small_bundle, "cat", "--top-k", "0"], 2),
    ):
        here, process = run(*words), start(*words)
        assert process.returncode == status
        assert (process.stdout, process.stderr) == (here.stdout, here.stderr)
        assert here.returncode == status


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(run: Run, verb: str) -> None:
    shown = output(run(*verb.split(), "--help"))
    assert f"Usage: lurcher {verb} " in shown
    assert [flag for of, flag in flags() if of == verb and flag not in shown] == []


def test_every_setting_is_a_flag_of_serve() -> None:
    for name in set(Settings.model_fields) - {"bundle"}:
        assert ("serve", f"--{name.replace('_', '-')}") in flags()


def test_build_writes_a_bundle_of_the_corpus_name_here(
    run: Run, small_corpus: Path, tmp_path: Path
) -> None:
    shown = output(run("build", small_corpus, *BY_TINY))
    first, *coverage = shown.splitlines()
    assert re.fullmatch(r"small.lurcher: 60 passages in \d+ s, at most [\d,]+ MiB of memory", first)
    assert "coverage" in coverage
    assert (tmp_path / "small.lurcher" / "manifest.json").is_file()
    assert output(run("verify", "small.lurcher")) == "small.lurcher: sound\n"
    assert "small.lurcher" in complaint(run("build", small_corpus, *BY_TINY))  # it is there already


def test_build_says_where_bad_records_went(run: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"id": "a", "text": "a cat"}\n{"id": "a", "text": "again"}\n')
    assert "c.jsonl, line 2: " in complaint(run("build", corpus, "out.lurcher", *BY_TINY))
    shown = output(run("build", corpus, "out.lurcher", "--skip-bad-lines", *BY_TINY))
    assert "1 bad records set aside in out.lurcher.skipped.jsonl" in shown
    skipped = (tmp_path / "out.lurcher.skipped.jsonl").read_text()
    assert "used before" in skipped


def test_inspect_shows_parts_bytes_and_figures(run: Run, small_bundle: Path) -> None:
    shown = output(run("inspect", small_bundle))
    for part in ("segments/000000/passages.db", "segments/000000/vectors.faiss", "encoder/"):
        assert part in shown
    for figure in ("recall_at_100", "bytes a passage", "format_version", "tiny"):
        assert figure in shown


@pytest.mark.parametrize("file", ["segments/000000/passages.db", "encoder/encoder.onnx"])
def test_verify_names_a_damaged_file(
    run: Run, small_bundle: Path, tmp_path: Path, file: str
) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "damaged.lurcher")
    damage(bundle, file)
    ended = run("verify", bundle)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{file}: ")
    assert file in complaint(run("search", bundle, "cat"))


def test_swap_encoder_puts_a_bundle_beside_and_says_what_is_kept(
    run: Run, small_bundle: Path, tmp_path: Path, write_student: Callable[..., Path]
) -> None:
    shutil.copytree(small_bundle, tmp_path / "small.lurcher")
    student = write_student()
    shown = output(run("swap-encoder", "small.lurcher", student))
    out = tmp_path / "small-twin.lurcher"
    assert shown.startswith(f"{out}: twin reads the queries\n")
    assert re.search(r"SciFact dev nDCG@10 +0\.6000 of 0\.8000: 75\.0% kept", shown)
    assert output(run("verify", out)) == f"{out}: sound\n"
    assert "animals " in output(run("search", out, "a sleeping cat", "-k", "1"))
    inspected = output(run("inspect", out))
    for line in (r"name +twin", r"losses +\{'l2': 1\.0\}", r"built_recall +1\.0", "75.0% kept"):
        assert re.search(line, inspected)
    assert "exists" in complaint(run("swap-encoder", "small.lurcher", student))


def test_swap_encoder_warns_of_a_student_that_lost_much(
    run: Run, small_bundle: Path, tmp_path: Path, write_student: Callable[..., Path]
) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "small.lurcher")
    figure = Figure(data="dev", measure="MRR@10", teacher=0.5, student=0.399)
    for name, figures, said in (
        ("poor", [figure], "warning: poor keeps 79.8% of dev MRR@10, less than 80%: "),
        ("good", [figure.model_copy(update={"student": 0.4})], ""),
        ("new", [], "warning: nobody measured how much of its teacher's quality new keeps"),
    ):
        ended = run("swap-encoder", bundle, write_student(name=name, figures=figures))
        assert ended.returncode == 0
        assert ended.stderr.startswith(said)
        assert bool(ended.stderr) == bool(said)


def test_swap_encoder_knows_the_profiles(
    run: Run, small_bundle: Path, tmp_path: Path, write_student: Callable[..., Path]
) -> None:
    shutil.copytree(small_bundle, tmp_path / "small.lurcher")
    output(run("swap-encoder", "small.lurcher", write_student(), "twin.lurcher"))
    shown = output(run("swap-encoder", "twin.lurcher", "best", "back.lurcher"))
    assert shown == "back.lurcher: tiny reads the queries\n"
    assert "student" not in output(run("inspect", "back.lurcher"))


def test_a_profile_is_for_the_shipped_encoder(run: Run, small_corpus: Path) -> None:
    line = complaint(run("build", small_corpus, "--profile", "fast", "--encoder", "mine"))
    assert line.startswith("profile: is for the shipped encoder; ")
    ended = run("build", small_corpus, "--profile", "slow")
    assert ended.returncode == 2
    assert "--profile" in ended.stderr


def test_the_best_profile_is_the_default(run: Run, small_corpus: Path) -> None:
    output(run("build", small_corpus, "best.lurcher", "--profile", "best"))
    shown = output(run("inspect", "best.lurcher"))
    assert "student" not in shown
    assert re.search(r"query_graph +encoder\.onnx", shown)


def test_search_shows_hits_for_a_person(run: Run, small_bundle: Path) -> None:
    shown = output(run("search", small_bundle, "a sleeping cat", "-k", "2"))
    assert shown.count("animals ") == 2
    assert "The cat sleeps on the warm windowsill" in shown


def test_search_shows_hits_for_a_program(run: Run, small_bundle: Path) -> None:
    wanted = '{"lang": "de", "year": {"gte": 2010}}'
    shown = output(
        run("search", small_bundle, "Brot", "--json", "--top-k", "3", "--filter", wanted)
    )
    hits = [json.loads(line) for line in shown.splitlines()]
    assert len(hits) == 3
    assert hits[0]["id"].startswith("de-food-")
    assert set(hits[0]) >= {"id", "title", "text", "metadata", "duplicates", "document", "url"}
    assert all(h["metadata"]["lang"] == "de" and h["metadata"]["year"] >= 2010 for h in hits)


def test_what_cannot_be_done_is_one_line(run: Run, small_bundle: Path, tmp_path: Path) -> None:
    assert "no such folder" in complaint(run("inspect", "nothing"))
    assert "not a bundle" in complaint(run("verify", tmp_path))
    assert complaint(run("search", small_bundle, "  ")).startswith("query: ")
    assert complaint(run("search", small_bundle, "cat", "--filter", "{")).startswith("filter: ")
    colour = complaint(run("search", small_bundle, "cat", "--filter", '{"colour": "red"}'))
    assert colour.startswith("filter.colour: ")
    assert "nothing.jsonl" in complaint(run("build", "nothing.jsonl"))
    assert "there are: " in complaint(run("bench", "nothing"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["search", "b", "cat", "--no-such-flag"], "--no-such-flag"),
        (["search", "b", "cat", "--top-k", "0"], "--top-k"),
        (["search", "b"], "query"),
        (["export", "m", "o", "--pooling", "max"], "--pooling"),
        (["serve", "b", "--port", "many"], "--port"),
        (["fetch"], "fetch"),
    ],
)
def test_mistake_in_the_command_is_named(run: Run, words: list[str], named: str) -> None:
    ended = run(*words)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("ir_measures", "eval", ["eval", "b", "--queries", "q", "--qrels", "r"]),
        ("onnx", "train", ["export", "model", "out"]),
        ("torch", "bench", ["bench", "ranker"]),
    ],
)
def test_missing_extra_names_the_pip_command(
    start: Run, tmp_path: Path, package: str, extra: str, command: list[str]
) -> None:
    line = complaint(start(*command, **hidden(package, tmp_path / "shadow")))
    assert line == f"this needs the package {package}: pip install 'lurcher[{extra}]'"


def test_demo_answers_three_questions_and_stops(
    start: Run, small_bundle: Path, tmp_path: Path
) -> None:
    """On a bundle that stands where the demonstration's would, since building that takes minutes."""
    shutil.copytree(small_bundle, demo_path(tmp_path))
    shown = output(start("demo", "--once", "--folder", tmp_path))
    assert "60 docstrings" in shown
    for question in ("another thread", "compress a file", "shell command"):
        assert question in shown


def test_search_for_what_is_not_unicode_is_one_line(run: Run, small_bundle: Path) -> None:
    # A byte that is not UTF-8 reaches Python as half of a surrogate pair.
    assert "query: is not valid Unicode" in complaint(run("search", small_bundle, "\udcff"))
