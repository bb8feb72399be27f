"""Fewer layers: which to keep, and a model with only those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lurcher.errors import FieldError, ModelError

# Where each family of transformers keeps its stack of layers.
_STACKS = ("encoder.layer", "transformer.layer", "encoder.layers", "layers")


def both_ends(depth: int, layers: int) -> list[int]:
    """``depth`` of ``layers`` layer numbers, from both ends inwards, the first end first.

    Better than evenly spaced ones: mean nDCG@10 kept over 14 BEIR sets .960 for {0, 1, 10, 11}
    against .934 for {1, 4, 7, 10} of 12 (measured by others, plain L2 alignment).
    Raises FieldError.
    """
    if not 0 <= depth <= layers:
        raise FieldError("depth", f"{depth} is not between 0 and the teacher's {layers} layers")
    front = (depth + 1) // 2
    return [*range(front), *range(layers - (depth - front), layers)]


def count_layers(model: Any) -> int:
    """How many layers ``model`` has. Raises ModelError for an architecture that is not known."""
    return len(_stack(model)[2])


def keep_layers(model: Any, kept: Sequence[int]) -> Any:
    """``model`` itself, left with the layers ``kept``, in that order.

    Raises FieldError for a number that the model does not have, ModelError for an architecture
    whose layers cannot be found.
    """
    parent, name, stack = _stack(model)
    for number in kept:
        if not 0 <= number < len(stack):
            raise FieldError(
                "layers", f"there is no layer {number}: the teacher has 0 to {len(stack) - 1}"
            )
    if sorted(set(kept)) != list(kept):
        raise FieldError("layers", f"{','.join(map(str, kept))}: each once, in ascending order")
    setattr(parent, name, torch.nn.ModuleList(stack[number] for number in kept))
    model.config.num_hidden_layers = len(kept)
    return model


def _stack(model: Any) -> tuple[Any, str, Any]:
    for path in _STACKS:
        parent_path, _, name = path.rpartition(".")
        try:
            parent = model.get_submodule(parent_path)
            stack = parent.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(stack, torch.nn.ModuleList):
            return parent, name, stack
    raise ModelError(
        f"unknown architecture {model.config.model_type}: its layers are in none of "
        f"{', '.join(_STACKS)}"
    )
