"""How many threads this process may keep busy, and which of them NumPy may."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def available_cpus() -> int:
    """The number of cores this process may use: its affinity, cut to the cgroup's CPU quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = cgroup_quota(_CGROUP_V2, _CGROUP_V1)
    return max(1, min(cores, math.ceil(quota)) if quota is not None else cores)


def one_blas_thread() -> None:
    """Let each of NumPy's matrix products stay with the thread that asks for it.

    Call it before NumPy is imported; what the environment says already holds. OpenBLAS's own threads wait for
    the next product by spinning, on the cores that graphs and other requests need: on two cores a question's
    passages took half as long again to read.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def cgroup_quota(v2: Path, v1: Path) -> float | None:
    """The CPU quota in cores that the control group's files state, or None where there is none."""
    try:
        if v2.exists():
            quota, period = v2.read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        micros = int((v1 / "cpu.cfs_quota_us").read_text())
        return None if micros <= 0 else micros / int((v1 / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
