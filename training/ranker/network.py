"""The decoder over 1-bit codes (ED2LM: Hui et al. 2022), in the form in which it is trained.

A query is read once a request, by layers that see nothing but the query; then one layer or a few read
each candidate's codes b in {-1, +1}^bits, here of unit norm::

    a_ihj = softmax_j(k_ih . b_j sqrt(bits) / 4 + s_h S_ij)      k_ih = W_h x_i,  S_ij = p_i . b_j
    x_i <- x_i + V [sum_j a_ihj b_j]_h + F [how well token i is met], then a feed-forward layer
    score = prior + (mean_i v(x_i) + sum_i g(x_i) w_i max_j S_ij) / scale

p_i are the query's tokens as they meet codes and w_i their weights, both as in late interaction.

Departures from the paper. W_h stands for W_K^T W_Q and V for W_O W_V of attention as usual: absorbed like
this, nothing is projected for any code. There are no positions: the encoder's states have theirs. The
score is one number off the last states, which needs no vocabulary. It is added to what late interaction
says, the prior, and starts as nothing at all: training starts from a ranking that is good already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lurcher.errors import FieldError
from lurcher.models.ranker.maxsim import NOTHING

_MASKED = -1e9


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a decoder is; ``layers`` read the query alone, ``crossings`` the codes, too."""

    dimension: int  # of a query encoder's states
    bits: int
    width: int = 64
    heads: int = 4
    layers: int = 1
    crossings: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "heads", "crossings"):
            if (value := getattr(self, name)) < 1:
                raise FieldError(name, f"must be at least 1, not {value}")
        if self.layers < 0:
            raise FieldError("layers", f"must not be below 0, as {self.layers} is")
        if self.width % self.heads:
            raise FieldError("heads", f"{self.heads} do not share a width of {self.width} evenly")


def sign_table(bits: int) -> Tensor:
    """What each byte of a code of so many bits stands for, (256, 8)."""
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
    return torch.from_numpy((2 * ones - 1) / np.float32(math.sqrt(bits)))


def signs_of(codes: Tensor, table: Tensor) -> Tensor:
    """What codes (..., bits/8) uint8 stand for, (..., bits) of unit norm, by ``sign_table``."""
    found: Tensor = functional.embedding(codes.int(), table).flatten(-2)
    return found


class Decoder(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Scores of candidates; ``read`` is done once for a query, ``score`` for each candidate."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.drop = nn.Dropout(dropout)
        self.enter = nn.Linear(shape.dimension, width)
        self.weigh = nn.Linear(1, width)
        self.layers = nn.ModuleList(_Layer(shape, dropout) for _ in range(shape.layers))
        self.crossings = nn.ModuleList(_Crossing(shape, dropout) for _ in range(shape.crossings))
        self.value, self.gate = nn.Linear(width, 1), nn.Linear(width, 1)
        for last in (self.value, self.gate):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        # How far apart scores are for the softmax over candidates; by its logarithm, to stay above 0.
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.register_buffer("signs", sign_table(shape.bits), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        device: torch.device = self.log_scale.device
        return device

    @property
    def scale(self) -> Tensor:
        """What scores are multiplied by to be logits over the candidates."""
        return self.log_scale.exp()

    def read(self, states: Tensor, weights: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is read of queries (B, L, width), and what it asks codes first (B, L, heads bits).

        ``states`` are (B, L, d), ``weights`` (B, L), ``mask`` (B, L) bool; None where no token is padding.
        """
        states = functional.layer_norm(states, (self.shape.dimension,))
        x = self.drop(self.enter(self.drop(states))) + self.weigh(10 * weights[..., None])
        for layer in self.layers:
            x = layer(x, mask)
        return x, self.crossings[0].ask(x)

    def decode(self, codes: Tensor) -> Tensor:
        """What codes (..., bits/8) uint8 stand for, (..., bits) of unit norm."""
        return signs_of(codes, self.signs)

    def score(
        self, x: Tensor, keys: Tensor, projected: Tensor, weights: Tensor, mask: Tensor | None,
        codes: Tensor, counts: Tensor, prior: Tensor,
    ) -> Tensor:  # fmt: skip
        """Scores (B, C) of candidates, of what ``read`` gave and ``projected`` (B, L, bits).

        ``codes`` (B, C, M, bits/8) uint8 are padded; ``counts`` (B, C) says how many each candidate has,
        ``prior`` (B, C) what late interaction scores it.
        """
        signs = self.decode(codes)
        present = torch.arange(codes.shape[2], device=codes.device) < counts[..., None]  # (B, C, M)
        similar = projected[:, None] @ signs.transpose(-1, -2)  # (B, C, L, M)
        there = present[:, :, None]
        best = similar.masked_fill(~there, NOTHING).amax(-1)  # (B, C, L)
        weighted = weights[:, None] * best
        near = torch.log1p(((20 * similar).exp() * there).sum(-1))
        met = torch.stack([4 * best, near / 4, 20 * weighted], dim=-1)
        x = x[:, None]
        for number, crossing in enumerate(self.crossings):
            asked = crossing.ask(x) if number else keys[:, None]
            x = crossing(x, asked, signs, similar, present, met)
        value, gated = self.value(x)[..., 0], self.gate(x)[..., 0] * weighted
        if mask is None:
            found = value.mean(-1) + gated.sum(-1)
        else:
            kept = mask[:, None].to(value.dtype)
            found = (value * kept).sum(-1) / kept.sum(-1) + (gated * kept).sum(-1)
        return prior + found / self.scale


class _FeedForward(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.drop(self.down(self.drop(functional.gelu(self.up(self.norm(x))))))
        return found


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Self-attention among a query's tokens."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, width = shape.heads, shape.width
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = _FeedForward(width, dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, width = x.shape
        parts = self.project(self.norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, L, width / heads)
        logits = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None, None], _MASKED)
        mixed = (self.drop(logits.softmax(-1)) @ value).transpose(1, 2).reshape(x.shape)
        found: Tensor = self.feed(x + self.drop(self.out(mixed)))
        return found


class _Crossing(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Attention from a query's tokens to a candidate's codes."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.bits, wide = shape.heads, shape.bits, shape.heads * shape.bits
        self.norm, self.drop = nn.LayerNorm(shape.width), nn.Dropout(dropout)
        self.keys = nn.Linear(shape.width, wide, bias=False)
        nn.init.normal_(self.keys.weight, std=0.02)
        self.values = nn.Linear(wide, shape.width, bias=False)
        self.met = nn.Linear(3, shape.width)
        # Some heads begin by looking at little but the code nearest to the token.
        self.sharpness = nn.Parameter(torch.linspace(5, 40, shape.heads))
        self.feed = _FeedForward(shape.width, dropout)

    def ask(self, x: Tensor) -> Tensor:
        """What (..., L, heads bits) codes are asked by ``x`` (..., L, width)."""
        asked: Tensor = self.keys(self.norm(x))
        return asked

    def forward(
        self, x: Tensor, asked: Tensor, signs: Tensor, similar: Tensor, present: Tensor, met: Tensor
    ) -> Tensor:
        batch, candidates, length, codes = similar.shape
        asked = asked.reshape(batch, -1, length * self.heads, self.bits) * (
            math.sqrt(self.bits) / 4
        )
        logits = (asked @ signs.transpose(-1, -2)).view(
            batch, candidates, length, self.heads, codes
        )
        logits = logits + self.sharpness[:, None] * similar[:, :, :, None]
        there = present[:, :, None, None]
        # Nothing of a candidate without codes, where the softmax would spread over padding.
        attention = logits.masked_fill(~there, _MASKED).softmax(-1) * there
        flat = attention.view(batch, candidates, length * self.heads, codes)
        context = (flat @ signs).view(batch, candidates, length, self.heads * self.bits)
        x = x + self.drop(self.values(context)) + self.met(met)
        found: Tensor = self.feed(x)
        return found
