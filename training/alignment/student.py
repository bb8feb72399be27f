"""The smaller encoder in torch: a transformer with layers left out, and a linear head.

The head maps the last layer's states into the teacher's space. It is started by ridge regression,
which is most of the way for a shallow student, and costs one small product.
Without any layer the student is a table: each token's embedding, learnt anew, through the head, and
a learnt weight a token for pooling. It pools by the mean whatever its teacher does: a table's first
token is the same in every text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize

from training.original import Pooling, Recipe


class Student(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Token ids to a vector and token states, as its exported graph will compute them."""

    def __init__(self, transformer: Any, recipe: Recipe, layers: list[int]) -> None:
        super().__init__()
        self.transformer = transformer
        self.recipe = recipe
        self.layers = layers  # their numbers in the teacher
        config = transformer.config
        width = config.hidden_size
        self.head = torch.nn.Linear(width, width)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(width))
            self.head.bias.zero_()
        # Log weights; a transformer weighs tokens by itself, so only a table learns them.
        self.token_weights = torch.nn.Parameter(torch.zeros(config.vocab_size))
        self.is_table = not layers
        self.pooling: Pooling = "mean" if self.is_table else recipe.pooling
        self.token_weights.requires_grad_(self.is_table)
        # With layers it is shared with the teacher on disk, so it stays; a table is all there is else.
        transformer.get_input_embeddings().weight.requires_grad_(self.is_table)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (B, d) and token states (B, L, d) float32 of ids (B, L) under mask (B, L)."""
        states = self.head(self.features(ids, mask))
        return self.pool(states, ids, mask), states

    def features(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The transformer's last layer, (B, L, d) float32, before the head."""
        found: torch.Tensor = self.transformer(ids, attention_mask=mask).last_hidden_state
        return found.float()

    def pool(self, states: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token states (B, L, d) to vectors (B, d); the head being linear, it may come after."""
        if self.pooling == "cls":
            vectors = states[:, 0]
        else:
            weights = mask * self.token_weights[ids].exp() if self.is_table else mask
            total = (states * weights[..., None]).sum(dim=1)
            vectors = total / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)
        return normalize(vectors, dim=-1) if self.recipe.normalise else vectors

    def trained(self) -> list[torch.nn.Parameter]:
        """What training changes."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of what training changes, by name."""
        named = self.named_parameters()
        return {name: p.detach().clone() for name, p in named if p.requires_grad}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Take over what ``weights`` gave."""
        self.load_state_dict(weights, strict=False)
