"""Late interaction with projections that learn, through the sign."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lurcher.models.ranker.maxsim import NOTHING, blend
from lurcher.models.tokens.projection import Projection

# Of tanh, whose derivative stands in for the sign's: unit-norm states have small projections.
_SHARPNESS = 8.0


def sign(projected: Tensor) -> Tensor:
    """The sign of ``projected``, -1 or 1, with the derivative of tanh (BTR, Cao et al. 2024, section 3.1)."""
    soft = torch.tanh(_SHARPNESS * projected)
    hard = torch.where(projected > 0, 1.0, -1.0)
    return soft + (hard - soft).detach()


class Scorer(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """What the ranker computes (models/ranker/maxsim.py), for lists of candidates of many questions."""

    def __init__(self, start: Projection) -> None:
        super().__init__()
        self.passages = nn.Parameter(torch.tensor(start.passages))
        self.queries = nn.Parameter(torch.tensor(start.queries))
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(
        self, states: list[Tensor], weights: list[Tensor], merged: list[Tensor], counts: list[list[int]],
        dense: Tensor,
    ) -> Tensor:  # fmt: skip
        """The scores (B, C) of B questions' candidates.

        Of each question: ``states`` (L, d) off the mean, ``weights`` (L,), the ``merged`` states (n, d) of
        its candidates one after the other, how many each has, and ``dense`` (C,).
        """
        maxsim = [self._maxsim(*one) for one in zip(states, weights, merged, counts, strict=True)]
        return self.scale * blend(dense, torch.stack(maxsim))

    def _maxsim(self, states: Tensor, weights: Tensor, merged: Tensor, counts: list[int]) -> Tensor:
        codes = sign(merged @ self.passages)
        queries = functional.normalize(states @ self.queries, dim=1) / math.sqrt(codes.shape[1])
        nothing = queries.new_full((1, len(queries)), NOTHING)
        parts = torch.split(codes @ queries.T, counts)
        best = [torch.cat([part, nothing]).max(dim=0).values for part in parts]
        return torch.stack(best) @ weights

    def recovery(self, merged: Tensor) -> Tensor:
        """How much of the states the codes lose: mean squared error of the best linear way back.

        BTR's recovery loss, whose way back is learnt; here it is the projection's own, scaled at best.
        """
        codes = sign(merged @ self.passages)
        back = codes @ self.passages.T
        scale = (back * merged).sum() / back.square().sum().clamp_min(1e-9)
        return (scale.detach() * back - merged).square().mean()

    def projection(self) -> Projection:
        """What was learnt so far."""
        passages, queries = (p.detach().cpu().numpy().copy() for p in (self.passages, self.queries))
        return Projection(passages, queries)
