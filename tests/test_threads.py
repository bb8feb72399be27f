"""How many cores a process may keep busy: what its control group grants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lurcher import threads
from lurcher.threads import available_cpus, cgroup_quota


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    return tmp_path / "cpu.max"


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    folder = tmp_path / "cpu"
    folder.mkdir()
    return folder


def test_a_v2_quota_is_its_share_of_the_period(v2: Path, v1: Path) -> None:
    v2.write_text("150000 100000\n")
    assert cgroup_quota(v2, v1) == 1.5


def test_v2_max_is_no_quota(v2: Path, v1: Path) -> None:
    v2.write_text("max 100000\n")
    assert cgroup_quota(v2, v1) is None


def test_v2_comes_before_v1(v2: Path, v1: Path) -> None:
    v2.write_text("max 100000\n")
    (v1 / "cpu.cfs_quota_us").write_text("50000\n")
    (v1 / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota(v2, v1) is None


def test_a_v1_quota_is_read_where_there_is_no_v2(v2: Path, v1: Path) -> None:
    (v1 / "cpu.cfs_quota_us").write_text("50000\n")
    (v1 / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota(v2, v1) == 0.5


def test_minus_one_is_no_quota_in_v1(v2: Path, v1: Path) -> None:
    (v1 / "cpu.cfs_quota_us").write_text("-1\n")
    (v1 / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota(v2, v1) is None


def test_no_control_group_is_no_quota(v2: Path, v1: Path) -> None:
    assert cgroup_quota(v2, v1) is None


@pytest.mark.parametrize("text", ["", "many 100000", "100000", "100000 100000 100000"])
def test_a_file_in_no_known_form_is_no_quota(v2: Path, v1: Path, text: str) -> None:
    v2.write_text(text)
    assert cgroup_quota(v2, v1) is None


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.1, 1), (2, 64.0, 2)],
)
def test_cores_are_the_affinity_cut_to_the_quota(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(threads, "cgroup_quota", lambda *_: quota)
    assert available_cpus() == expected


def threads_with_numpy(before: str, **environment: str) -> int:
    """How many threads a new process has that did ``before`` and then imported NumPy."""
    code = f"{before}\nimport numpy, os\nprint(len(os.listdir('/proc/self/task')))"
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        cwd=Path(__file__).parents[1], env=inherited | environment,
    )  # fmt: skip
    return int(ran.stdout)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc tells of threads")
def test_numpy_gets_no_threads_of_its_own_unless_the_environment_grants_them() -> None:
    ask = "from lurcher.threads import one_blas_thread\none_blas_thread()"
    assert threads_with_numpy(ask) == 1
    granted = {"OPENBLAS_NUM_THREADS": str(available_cpus())}
    assert threads_with_numpy(ask, **granted) == threads_with_numpy("", **granted)


def test_the_command_line_is_there_before_numpy_is() -> None:
    """Else what a verb says of NumPy's threads would come too late."""
    code = "import sys, lurcher.cli\nsys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
