"""What a training runs on."""

from __future__ import annotations

import torch

from lurcher.errors import FieldError


def check_device(name: str) -> None:
    """Raises FieldError for a GPU where torch sees none."""
    if torch.device(name).type == "cuda" and not torch.cuda.is_available():
        raise FieldError("device", "torch sees no GPU here; train on the cpu")
