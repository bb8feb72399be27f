"""Which layers are kept, and that a model with only those computes what those compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.errors import FieldError, ModelError
from lurcher.training.compression.layers import both_ends, count_layers, keep_layers

Checkpoint = Callable[..., Path]
ARCHITECTURES = ["bert", "mpnet", "distilbert", "ernie"]
STACKS = {"distilbert": "transformer.layer"}
IDS = torch.tensor([[2, 9, 8, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.mark.parametrize(
    ("depth", "layers", "kept"),
    [
        (0, 6, []),
        (1, 6, [0]),
        (2, 6, [0, 5]),
        (3, 6, [0, 1, 5]),
        (4, 12, [0, 1, 10, 11]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (0, 0, []),
    ],
)
def test_both_ends_of_a_stack(depth: int, layers: int, kept: list[int]) -> None:
    assert both_ends(depth, layers) == kept


@given(st.integers(0, 48).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_both_ends_are_so_many_different_layers_in_ascending_order(case: tuple[int, int]) -> None:
    depth, layers = case
    kept = both_ends(depth, layers)
    assert len(kept) == depth
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(layers))
    front = sum(number == i for i, number in enumerate(kept))
    back = sum(number == layers - depth + i for i, number in enumerate(kept))
    assert front + back >= depth  # each belongs to one end
    if depth > 1:
        assert (kept[0], kept[-1]) == (0, layers - 1)


@pytest.mark.parametrize("depth", [-1, 7])
def test_more_layers_than_there_are_is_an_error(depth: int) -> None:
    with pytest.raises(FieldError, match=f"depth: {depth} is not between 0 and the teacher's 6"):
        both_ends(depth, 6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kept", [[], [0], [1], [0, 1]])
def test_what_is_left_computes_what_those_layers_compute(
    architecture: str, kept: list[int], checkpoint: Checkpoint, transformers: Any
) -> None:
    folder = checkpoint(architecture)
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    stack = whole.get_submodule(STACKS.get(architecture, "encoder.layer"))
    assert count_layers(whole) == len(stack) == 2
    for number, layer in enumerate(stack):
        if number not in kept:
            layer.register_forward_hook(pass_through, with_kwargs=True)
    cut = keep_layers(transformers.AutoModel.from_pretrained(folder).eval(), kept)
    assert count_layers(cut) == len(kept)
    wanted, found = states(whole), states(cut)
    assert torch.equal(found, wanted)
    if kept != [0, 1]:
        untouched = transformers.AutoModel.from_pretrained(folder).eval()
        assert not torch.allclose(found, states(untouched), atol=0.01)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_can_be_saved_and_loaded_again(
    architecture: str, checkpoint: Checkpoint, transformers: Any, tmp_path: Path
) -> None:
    cut = keep_layers(transformers.AutoModel.from_pretrained(checkpoint(architecture)).eval(), [1])
    cut.save_pretrained(tmp_path / "cut")
    again = transformers.AutoModel.from_pretrained(tmp_path / "cut").eval()
    assert count_layers(again) == 1
    assert torch.equal(states(again), states(cut))


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ([0, 2], "layers: there is no layer 2: the teacher has 0 to 1"),
        ([-1], "layers: there is no layer -1"),
        ([1, 0], "layers: 1,0: each once, in ascending order"),
        ([0, 0], "layers: 0,0: each once, in ascending order"),
    ],
)
def test_layers_that_cannot_be_kept_are_named_and_nothing_is_changed(
    kept: Sequence[int], reason: str, checkpoint: Checkpoint, transformers: Any
) -> None:
    model = transformers.AutoModel.from_pretrained(checkpoint("bert"))
    with pytest.raises(FieldError, match=reason):
        keep_layers(model, kept)
    assert count_layers(model) == model.config.num_hidden_layers == 2


def test_an_architecture_that_is_not_known_is_named() -> None:
    model = torch.nn.Module()
    model.groups = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    model.layers = torch.nn.Linear(2, 2)  # of that name, and no stack
    model.config = SimpleNamespace(model_type="albert")
    with pytest.raises(ModelError, match="unknown architecture albert: its layers are in none of"):
        count_layers(model)


def states(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(IDS, attention_mask=MASK).last_hidden_state
    return found


def pass_through(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """A layer's input in place of its output."""
    given = args[0] if args else kwargs["hidden_states"]
    return (given, *output[1:]) if isinstance(output, tuple) else given
