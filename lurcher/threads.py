"""How many threads this process uses, and which go first: the one place that decides it."""

from __future__ import annotations

import math
import os
import threading
from contextlib import suppress
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")
# By so much the priority of writing is below that of answering.
_NICE = 10


def available_cpus() -> int:
    """The number of cores this process may use: its affinity, cut to the cgroup's CPU quota."""
    cores, quota = affinity(), cpu_quota()
    return max(1, min(cores, math.ceil(quota)) if quota is not None else cores)


def affinity() -> int:
    """The number of cores that the system lets this process run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota() -> float | None:
    """The CPU quota of this process's control group in cores, or None where there is none."""
    return cgroup_quota(_CGROUP_V2, _CGROUP_V1)


def thread_count(threads: int | None) -> int:
    """``threads`` as a caller set it, or one per available core for None."""
    return available_cpus() if threads is None else threads


def one_blas_thread() -> None:
    """Run each of NumPy's matrix products on the thread that calls it, unless the environment says otherwise.

    Call it before NumPy is imported. OpenBLAS's own threads spin while they wait for the next product, on the
    cores that graphs and other requests need: on two cores, reading a question's passages took half as long
    again.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def lower_priority() -> None:
    """Let the threads that answer go before the one that calls this."""
    if hasattr(os, "setpriority"):  # Windows has none
        own = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + _NICE)


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
