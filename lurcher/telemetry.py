"""Libraries that report home are told not to, before any of them is imported.

ORT_DISABLE_TELEMETRY
    onnxruntime, from 1.29: when it is imported, it writes a machine id and a database below the user's cache
    folder, and sends events while the process runs.
HF_HUB_DISABLE_TELEMETRY
    huggingface_hub: it names the versions of Python and libraries in what it downloads.
NM_DISABLE_ANALYTICS
    sparsezoo, which DeepSparse imports: it looks up in which country it runs, and reports.
RAY_USAGE_STATS_ENABLED
    Ray: a cluster that is started here sends what it runs on, and for what, every hour.
"""

from __future__ import annotations

import os
import sys
import warnings

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NM_DISABLE_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}  # fmt: skip

_FIRST_TO_REPORT = (1, 29)


def forbid() -> None:
    """Set the switches, also for processes that this one starts.

    Warn if onnxruntime was imported before, without its switch: what it did by then cannot be undone.
    """
    was_off = os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
    os.environ.update(SWITCHES)
    loaded = sys.modules.get("onnxruntime")
    if loaded is None or was_off:
        return
    loaded.disable_telemetry_events()
    if tuple(map(int, loaded.__version__.split(".")[:2])) >= _FIRST_TO_REPORT:
        warnings.warn(
            "onnxruntime was imported before lurcher and may report home: import lurcher first, or set "
            "ORT_DISABLE_TELEMETRY=1",
            stacklevel=3,
        )
