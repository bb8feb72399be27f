"""From how answers were judged to what their evidence weighs: logistic regression, held out in turn.

Platt 1999, "Probabilistic Outputs for Support Vector Machines"; with more than one number to weigh, the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.evaluation.answer_measures import calibration_error

Doubles = npt.NDArray[np.float64]

_STEPS = 50  # of Newton's method, which converges in ten
_LEAST_CURVE = 1e-9
_FOLDS = 5


def fit(x: Doubles, right: Doubles, prior: Doubles, ridge: float) -> Doubles:
    """The weights (f,) with which ``x`` (n, f) are the log-odds of being ``right`` (n,).

    By maximum likelihood, less ``ridge`` / 2 times the squared distance to ``prior`` (f,).
    """
    # From where it curves most: a step from far away runs away where log-odds are far too sure.
    w = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = np.exp(-np.logaddexp(0, -(x @ w)))
        slope = x.T @ (p - right) + ridge * (w - prior)
        curve = (x * (p * (1 - p))[:, None]).T @ x + (ridge + _LEAST_CURVE) * np.eye(len(w))
        w = w - np.linalg.solve(curve, slope)
    return w


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What log-odds have to be multiplied by and what added, and what that is worth on answers held out."""

    slope: float
    offset: float
    loss_before: float  # mean negative log-likelihood
    loss_after: float
    error_before: float  # expected calibration error
    error_after: float


def recalibrate(logits: Doubles, right: Doubles, ridge: float, seed: int = 0) -> Recalibration:
    """How ``logits`` (n,), the log-odds of being ``right`` (n,), become better ones.

    Loss and error after it are of answers that each fifth of the others was not fitted to.
    """
    x, prior = np.stack([logits, np.ones_like(logits)], axis=1), np.array([1.0, 0.0])
    held = np.zeros_like(logits)
    for part in np.array_split(np.random.default_rng(seed).permutation(len(x)), _FOLDS):
        others = np.setdiff1d(np.arange(len(x)), part)
        held[part] = x[part] @ _rising(fit(x[others], right[others], prior, ridge))
    slope, offset = _rising(fit(x, right, prior, ridge)).tolist()
    return Recalibration(
        slope, offset, loss(logits, right), loss(held, right),
        calibration_error(_probabilities(logits), right),
        calibration_error(_probabilities(held), right),
    )  # fmt: skip


def loss(logits: Doubles, right: Doubles) -> float:
    """The mean negative log-likelihood of ``right`` (n,) under log-odds ``logits`` (n,)."""
    return float(np.mean(np.logaddexp(0, logits) - right * logits))


def threshold(scores: Doubles, right: Doubles) -> float:
    """The score, in hundredths, from which on answers are given: as large a share of right ones is let
    through as of wrong ones held back."""
    grid = np.linspace(0, 1, 101)
    kept = np.array([_share(scores[right > 0] >= limit) for limit in grid])
    held = np.array([_share(scores[right == 0] < limit) for limit in grid])
    return float(round(grid[int(np.abs(kept - held).argmin())], 2))


def _share(which: npt.NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else 0.0


def _probabilities(logits: Doubles) -> Doubles:
    return np.exp(-np.logaddexp(0, -logits))


def _rising(weights: Doubles) -> Doubles:
    """``weights``, of which the first is of log-odds and never turns them round."""
    return np.concatenate([np.maximum(weights[:1], 1e-3), weights[1:]])
