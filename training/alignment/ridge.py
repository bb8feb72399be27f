"""The linear head's start: ridge regression from the student's features to the teacher's vectors."""

from __future__ import annotations

import itertools

import torch

from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Targets, batches
from lurcher.training.original import Pooling

_BATCHES = 200
_QUERIES = 128
# Of the mean square of a feature; enough to keep directions that hardly occur from growing.
_PENALTY = 1e-3
_LEAST = 1e-9


def start_head(student: Student, targets: Targets, seed: int) -> None:
    """Set the student's head to the ridge solution over a sample of the queries.

    Regresses pooled features on the teacher's pooled states, both before they are normalised:
    (X'X + pI) W = X'Y, the bias by centring.
    """
    features, goals = [], []
    with torch.inference_mode():
        for batch in itertools.islice(batches(targets, _QUERIES, seed), _BATCHES):
            batch = batch.to(student.head.weight.device)
            found = student.features(batch.ids, batch.mask)
            features.append(_pooled(found, batch.mask, student.pooling))
            goals.append(_pooled(batch.states, batch.mask, student.recipe.pooling))
    x, y = torch.cat(features).double(), torch.cat(goals).double()
    weight, bias = ridge(x, y)
    with torch.no_grad():
        student.head.weight.copy_(weight.T)
        student.head.bias.copy_(bias)


def ridge(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (d, e) and bias (e,) that take x (n, d) to y (n, e) with the least penalised error."""
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    centred = x - x_mean
    gram = centred.T @ centred
    penalty = _PENALTY * gram.diagonal().mean()
    gram.diagonal().add_(penalty.clamp_min(_LEAST))  # queries that are all alike have no spread
    weight = torch.linalg.solve(gram, centred.T @ (y - y_mean))
    return weight, y_mean - x_mean @ weight


def _pooled(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """The first (B, d) of states (B, L, d), or their mean under mask (B, L)."""
    if pooling == "cls":
        return states[:, 0]
    return (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
