"""Answers on the command line: what a build puts in for them, what is refused, and what `inspect` counts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lurcher.bundle.bundle import READER
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.reading_store import READING_CODER
from lurcher.bundle.token_store import CODER
from lurcher.models.reader.reader import load_reader_config
from tests.cli.running import Run, complaint, output
from tests.tiny import BY_TINY, TINY

SHIPPED = TINY / READER


def test_a_build_answers_where_it_is_told_to(run: Run, small_corpus: Path, tmp_path: Path) -> None:
    output(run("build", small_corpus, "own.lurcher", *BY_TINY, "--answers", "--answer-bits", "64"))
    reading = read_manifest(tmp_path / "own.lurcher").reading
    assert reading is not None
    assert reading.bits == 64
    output(run("build", small_corpus, "theirs.lurcher", "--reader", SHIPPED, *BY_TINY))
    manifest = read_manifest(tmp_path / "theirs.lurcher")
    assert manifest.reader == load_reader_config(SHIPPED)
    assert manifest.reading is not None
    assert manifest.reading.bits == manifest.reader.bits
    assert output(run("verify", "theirs.lurcher")) == "theirs.lurcher: sound\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--answers", "--no-tokens"], "answers: need the tokens"),
        (["--no-answers", "--reader", "mine"], "reader: is for answers"),
        (["--answer-bits", "64"], "answer_bits: is for answers"),
        (["--answers", "--answer-bits", "20"], "answer_bits: must be a multiple of 8 from 8 to 96"),
        (["--reader", "nowhere"], "nowhere: not a reader: no such folder"),
        (["--reader", str(TINY)], f"{TINY}: not a reader: it has no reader.json"),
    ],
)  # fmt: skip
def test_answers_that_cannot_be_are_one_line(
    run: Run, small_corpus: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    assert complaint(run("build", small_corpus, "out.lurcher", *flags, *BY_TINY)).startswith(said)
    assert not list(tmp_path.iterdir())


def test_an_encoder_without_a_reader_needs_bits(
    run: Run, small_corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(TINY, folder, ignore=lambda *_: [READER, "students"])
    line = complaint(run("build", small_corpus, "out.lurcher", "--encoder", folder, "--answers"))
    assert line.startswith(f"answers: {folder} has no reader; `lurcher train reader` makes one")


def section(shown: str) -> dict[str, str]:
    _, _, lines = shown.partition("\nanswers\n")
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines.splitlines()[:7])


def test_inspect_counts_everything_that_answering_takes(run: Run, answering_bundle: Path) -> None:
    manifest = read_manifest(answering_bundle)
    tokens, reading, files = manifest.tokens, manifest.reading, manifest.files
    assert tokens is not None
    assert reading is not None
    assert manifest.reader is not None
    coder = files[READING_CODER].bytes
    total = sum(files[f"segments/000000/reading.{part}"].bytes for part in ("bin", "idx")) + coder
    both = total + files[CODER].bytes
    both += sum(files[f"segments/000000/tokens.{part}"].bytes for part in ("bin", "pos", "idx"))
    size = files["reader/reader.json"].bytes + files["reader/reader.onnx"].bytes
    n = tokens.tokens
    assert section(output(run("inspect", answering_bundle))) == {
        "reader": f"{manifest.reader.name}, {size:,} bytes",
        "calibrated": "by training, on nobody knows what",
        "bits": f"{reading.bits}, of 96 dimensions",
        "codes": f"{reading.codes:,}, {reading.codes / 60:.1f} a passage",
        "bytes": f"{total:,}, with {coder:,} of the coder",
        "bytes a passage": f"{total / 60:,.1f}; {both / 60:,.1f} with the tokens above",
        "bytes a token": f"{total / n:,.2f}; {both / n:,.2f} with the tokens above",
    }


def test_inspect_says_nothing_of_answers_where_there_are_none(run: Run, small_bundle: Path) -> None:
    assert "\nanswers\n" not in output(run("inspect", small_bundle))
