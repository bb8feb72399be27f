"""The models that ship in the package, each a folder with its model card."""

from __future__ import annotations

from pathlib import Path

DEFAULT_ENCODER = Path(__file__).parent / "all-MiniLM-L6-v2"

# What reads queries for the default encoder's passages: a student's folder, or None for the encoder
# itself. From the lowest latency to the highest quality.
PROFILES: dict[str, Path | None] = {
    "fast": DEFAULT_ENCODER / "students" / "fast",
    "balanced": DEFAULT_ENCODER / "students" / "balanced",
    "sparse": DEFAULT_ENCODER / "students" / "sparse",
    "best": None,
}
