"""Weights and checkpoints on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch


def write(file: Path, content: Any) -> None:
    """Write what ``torch.load`` reads again to ``file``, whole or not at all. Raises OSError."""
    # By way of memory: torch's own writer does not say that a disk is full.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    new = file.with_suffix(".new")
    new.write_bytes(buffer.getbuffer())
    new.replace(file)
