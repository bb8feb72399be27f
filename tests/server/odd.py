"""Passages as no tidy corpus has them: nothing in them, one token, signs of many bytes, more than is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lurcher.models.encoders.config import CONFIG_FILE
from tests.tiny import TINY

ODD: list[dict[str, Any]] = [
    {"id": "empty", "text": ""},
    {"id": "blank", "title": " \t", "text": " \n "},
    {"id": "one", "text": "telescope"},
    {"id": "titled", "title": "Galileo Galilei", "text": "built a telescope of twenty powers"},
    {"id": "title only", "title": "The moons of Jupiter", "text": ""},
    {"id": "padded", "title": "  ", "text": "   the oboe gives the note  "},
    {"id": "emoji", "title": "🐕🐕‍🦺 Hunde", "text": "🏃 é🎯 naïve Häuser, e\u0301te\u0301 — 猫は窓"},
    {"id": "marked", "text": "a [SEP] in the [CLS] text"},
    {"id": "long", "title": "Sand", "text": "sand dunes wander " * 400 + "penguin"},
    *[{"id": f"n{i}", "text": f"{word} and other things, number {i}"}
      for i, word in enumerate(["bread", "rain", "music", "glass", "water", "wind", "cat", "sun"])],
]  # fmt: skip


def prompted_encoder(folder: Path) -> Path:
    """The tiny encoder in ``folder``, told to read each side with a prompt of its own."""
    shutil.copytree(TINY, folder, dirs_exist_ok=True)
    config = json.loads((folder / CONFIG_FILE).read_text())
    config |= {"query_prompt": "question: ", "passage_prompt": "the passage: "}
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder
