"""The smaller encoder in torch: a transformer with layers left out, and a linear head.

The head maps the last layer's states into the teacher's space. It is started by ridge regression,
which is most of the way for a shallow student, and costs one small product.

The vocabulary is the teacher's and stays, as they share it on disk, but the layers that made sense of
it are gone. So each token's embedding is corrected by a few learnt numbers and a map common to all,
E + A B with A (V, rank) and B (rank, width), as LoRA (Hu et al. 2021, section 4.1) adapts any matrix.

Without any layer the student is a table: each token's embedding, learnt anew, through the head, and a
learnt weight a token for pooling. It pools by the mean whatever its teacher does: a table's first token
is the same in every text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize

from lurcher.training.original import Pooling, Recipe


class Student(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Token ids to a vector and token states, as its exported graph will compute them."""

    def __init__(self, transformer: Any, recipe: Recipe, layers: list[int], rank: int = 0) -> None:
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
        # With layers it is shared with the teacher on disk; a table is all there is, and keeps its own.
        transformer.get_input_embeddings().weight.requires_grad_(self.is_table)
        self.correction = _correction(config.vocab_size, rank, width) if rank else None

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (B, d) and token states (B, L, d) float32 of ids (B, L) under mask (B, L)."""
        states = self.head(self.features(ids, mask))
        return self.pool(states, ids, mask), states

    def features(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The transformer's last layer, (B, L, d) float32, before the head."""
        embedded = self.transformer.get_input_embeddings()(ids)
        if self.correction is not None:
            embedded = embedded + self.correction(ids)
        read = self.transformer(inputs_embeds=embedded, attention_mask=mask)
        found: torch.Tensor = read.last_hidden_state
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


def _correction(tokens: int, rank: int, width: int) -> Any:
    """What is added to the embeddings of ``tokens`` ids; nothing, at first."""
    codes = torch.nn.Embedding(tokens, rank)
    directions = torch.nn.Linear(rank, width, bias=False)
    torch.nn.init.zeros_(codes.weight)
    # Rows of about unit length, so that a step changes an embedding as if it were learnt itself.
    torch.nn.init.normal_(directions.weight, std=rank**-0.5)
    return torch.nn.Sequential(codes, directions)
