"""The kernels that this machine can run."""

from __future__ import annotations

from pathlib import Path

from lurcher.models.engines.native.library import LEVELS, Level, Library


def here(library: Library) -> list[Level]:
    """The levels of ``library`` up to this machine's own, without those that it lacks below that."""
    flags = Path("/proc/cpuinfo")
    # AVX-VNNI is no part of AVX-512: AMD's Zen 4 has that and not this.
    lacks = {"avxvnni"} if flags.exists() and "avx_vnni" not in flags.read_text() else set()
    known = LEVELS[: LEVELS.index(library.level) + 1]
    return [level for level in known if level == library.level or level not in lacks]
