"""``lurcher doctor`` says what runs models here, and why."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lurcher.models.engines.native import library
from lurcher.threads import affinity, available_cpus
from tests.cli.running import Run, complaint, output


def test_it_tells_what_a_server_would_have_here_and_why(run: Run, small_bundle: Path) -> None:
    shown = output(run("doctor", small_bundle))
    found = library.load()
    said = found if isinstance(found, str) else f"kernels for {found.level}"
    assert said in shown
    assert "engine 'auto'" in shown
    assert ("ONNX Runtime" in shown) or ("no native library" in shown)
    cores = available_cpus()
    assert f"{cores}: {affinity()} cores that this process may use" in shown
    assert re.search(r"free +[\d.,]+ GB of", shown)
    assert "fsync" in shown
    assert "each as in the manifest" in shown
    assert re.search(r"searches +[\d.]+ ms, the slowest [\d.]+ ms, of 20 ", shown)


def test_a_bundle_that_is_not_sound_is_told(run: Run, words_bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.lurcher"
    shutil.copytree(words_bundle, broken)
    file = next(broken.rglob("passages.db"))
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    ended = run("doctor", broken)
    assert ended.returncode == 1
    assert "passages.db" in ended.stderr
    assert "searches" not in ended.stdout


def test_a_folder_that_is_no_bundle_is_an_error(run: Run, tmp_path: Path) -> None:
    assert str(tmp_path) in complaint(run("doctor", tmp_path))


def test_a_bundle_without_vectors_has_no_engine(run: Run, words_bundle: Path) -> None:
    assert "no vectors" in output(run("doctor", words_bundle))


def test_a_file_is_no_bundle_either(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text("x")
    assert "encoder" not in complaint(run("doctor", file))
