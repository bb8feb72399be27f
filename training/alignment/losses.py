"""What a student is asked to match: each loss one function of torch tensors, lower is better.

Vectors are (B, d), unit-norm for a cosine model; token states (B, L, d); mask (B, L), 1 on tokens.
Each returns a scalar: the mean over the queries, or over the tokens, of the batch.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity, kl_div, log_softmax, softmax

# KALE section 3.2. At so high a temperature the loss is about half the mean-centred MSE.
COORDINATE_TEMPERATURE = 10.0
# Cosines of a query's first hundred passages spread over a few tenths; this tells them apart.
SCORE_TEMPERATURE = 0.05


def coordinate_kl(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """T^2 KL(softmax(t / T) || softmax(s / T)), the softmax over the d coordinates.

    As KALE publishes it (Campos, Magnani, Zhai 2023, section 3.2). A softmax does not see a shift
    of all coordinates, so the loss cannot either, though rankings can.
    """
    temperature = COORDINATE_TEMPERATURE
    goal = log_softmax(teacher / temperature, dim=-1)
    found = log_softmax(student / temperature, dim=-1)
    return temperature**2 * kl_div(found, goal, reduction="batchmean", log_target=True)


def l2(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """|t - s|^2, the alternative that KALE names; also LEAF's (Vujanic and Rueckstiess 2025)."""
    return (student - teacher).square().sum(dim=-1).mean()


def cosine(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """1 - cos(t, s): half of ``l2`` where both are unit-norm, blind to length where they are not."""
    return (1 - cosine_similarity(student, teacher, dim=-1)).mean()


def score_alignment(
    student: torch.Tensor, teacher: torch.Tensor, passages: torch.Tensor
) -> torch.Tensor:
    """KL(softmax(P t / T) || softmax(P s / T)) over each query's own passages P (B, k, d).

    What retrieval depends on, and what KALE's loss does not see: the order of the passages that
    the teacher finds first, as in distillation of rankers (Lin et al. 2021, TCT-ColBERT).
    """
    goal = softmax(_scores(passages, teacher) / SCORE_TEMPERATURE, dim=-1)
    found = log_softmax(_scores(passages, student) / SCORE_TEMPERATURE, dim=-1)
    return kl_div(found, goal, reduction="batchmean")


def token_alignment(
    student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """1 - cos of the two last-layer states of each token: what late interaction reads."""
    distance = 1 - cosine_similarity(student, teacher, dim=-1)  # (B, L)
    return (distance * mask).sum() / mask.sum()


def _scores(passages: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bkd,bd->bk", passages, vectors)
