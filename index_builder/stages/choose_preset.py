"""Stage ``preset``: what scores count beside each other on this corpus."""

from __future__ import annotations

import json
from typing import Any

from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.code_share import sampled_code_share
from lurcher.models.ranker.presets import PresetName

# Below the workspace's scratch folder: what was chosen, and by which share of code.
_PRESET = "preset.json"
# A corpus of which half is code is asked about code.
_CODE = 0.5


def run(context: BuildContext) -> None:
    """Choose and note it; where words alone find passages, nothing is weighed, and no share is measured."""
    options = context.options
    share = sampled_code_share(context.passages, options.seed) if options.vectors else None
    chosen: PresetName = "code" if share is not None and share >= _CODE else "prose"
    noted = {
        "preset": chosen if options.preset == "auto" else options.preset,
        "code_share": None if share is None else round(share, 3),
    }
    (context.scratch / _PRESET).write_text(json.dumps(noted))


def noted_preset(context: BuildContext) -> dict[str, Any]:
    """What was noted: ``preset`` and ``code_share``."""
    noted: dict[str, Any] = json.loads((context.scratch / _PRESET).read_text())
    return noted
