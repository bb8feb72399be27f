"""Losses for ``python -m experiments.decoder``, of a batch whose first candidates answer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lurcher.training.ranker.batches import Batch
from lurcher.training.ranker.decoder_training import Loss, listwise
from lurcher.training.ranker.network import Decoder
from lurcher.training.ranker.questions import NO_SCORE

# Between what late interaction scores passages that answer and others, so that a logit begins near 0.
_MIDDLE = 0.55
_MARGIN = 0.05


def pairs(decoder: Decoder, one: Batch) -> Tensor:
    """The answer against each other candidate alone (RankNet: Burges et al. 2005)."""
    found, there = _apart(decoder, one)
    return functional.softplus(-decoder.scale * found)[there].mean()


def margin(decoder: Decoder, one: Batch) -> Tensor:
    """How much other candidates come nearer to the answer than a margin."""
    found, there = _apart(decoder, one)
    return decoder.scale * functional.relu(_MARGIN - found)[there].mean()


def true_or_false(decoder: Decoder, one: Batch) -> Tensor:
    """Likelihood of "true" after the answer, unlikelihood after others (ED2LM: Hui et al. 2022)."""
    logits = decoder.scale * (one.scores(decoder) - _MIDDLE)
    right = torch.zeros_like(logits)
    right[:, 0] = 1
    each = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    there = one.prior > NO_SCORE
    return (each * there).sum(1).mean()


def _apart(decoder: Decoder, one: Batch) -> tuple[Tensor, Tensor]:
    """How far above each other candidate the answer is, (B, C - 1), and where there is one."""
    found = one.scores(decoder)
    return found[:, :1] - found[:, 1:], one.prior[:, 1:] > NO_SCORE


LOSSES: dict[str, Loss] = {
    "listwise": listwise, "pairs": pairs, "margin": margin, "true or false": true_or_false,
}  # fmt: skip
