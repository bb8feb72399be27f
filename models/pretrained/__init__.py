"""The models that ship in the package, each a folder with its model card."""

from __future__ import annotations

from pathlib import Path

DEFAULT_ENCODER = Path(__file__).parent / "all-MiniLM-L6-v2"
