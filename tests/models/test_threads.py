"""How many cores a process may keep busy: what its control group grants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import threads
from models.threads import available_cpus, cgroup_quota


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
