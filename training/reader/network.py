"""The reader over 1-bit codes (BTR: Cao et al. 2024), in the form in which it is trained.

What stands below is done before: the encoder's lower layers read the query alone and every passage alone, and
the passages' states after them are kept as 1-bit codes, one for each token but the most common, which stand
for states p_j (models/reader/coder.py). The reader is the layers above, which see both together, N = L + M
tokens::

    x_i = A q_i                                of the query's tokens, q_i the encoder's states
    x_j = B p_j + F [how well token j is met]  of the passage's
    a_hij = softmax_j(k_hi . k'_hj / sqrt(width / heads) + c_h . f_ij)      for each layer and head h
    start_j, end_j = H x_j                   after the last layer, of the passage's

f_ij are how alike the two are, S_ij = <q_i, p_j>, where one is the query's and the other the
passage's, and how many places j stands after i and i after j, where both are the passage's.

Departures from the paper. The layers below are the retrieval encoder's, as they are: its one pass over a
passage serves search, ranking and reading, and nothing of it is trained again. So the recovery loss, of what
a linear map makes of the signs, has its minimum in closed form: that is the decoding. The layers above start
from nothing but f: heads that look from a query's token at the passage's that meet it, and heads that look a
few places to either side (as ALiBi's do: Press et al. 2022, "Train Short, Test Long") and need no positions.
Copies of the encoder's last layers, over its last states, learnt far more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lurcher.errors import FieldError

_MASKED = -1e4  # finite in bfloat16, too
_CHANNELS = 4  # of f: similarity, places after, places before, and the mask
# Places beyond so many are as far as these; and how many of them count 1.
_FAR, _PLACES = 64, 4
# States are of unit norm: this makes what is read of them alike in size to what a layer adds.
_STATES = 20.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a reader is."""

    dimension: int  # of the encoder's states
    width: int = 256
    heads: int = 8
    layers: int = 3
    inner: int = 1_024

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "inner"):
            if (value := getattr(self, name)) < 1:
                raise FieldError(name, f"must be at least 1, not {value}")
        if self.width % self.heads:
            raise FieldError("heads", f"{self.heads} do not share a width of {self.width} evenly")


class Reader(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Logits of where the answer starts and ends, for each token of a passage."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.query = nn.Linear(shape.dimension, width)
        self.passage = nn.Linear(shape.dimension, width)
        self.met = nn.Linear(2, width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 2)
        with torch.no_grad():
            self.query.weight *= _STATES
            self.passage.weight *= _STATES

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        device: torch.device = self.head.weight.device
        return device

    def forward(
        self, states: Tensor, weights: Tensor, decoded: Tensor, places: Tensor, query_mask: Tensor,
        there: Tensor,
    ) -> Tensor:  # fmt: skip
        """Logits (B, M, 2).

        ``states`` (B, L, d) and ``weights`` (B, L) are of queries' tokens, ``query_mask`` (B, L) says which
        are not padding. ``decoded`` (B, M, d) are a passage's, ``places`` (B, M) where they stand in it,
        ``there`` (B, M) bool which are not padding.
        """
        similar = states @ decoded.transpose(1, 2)  # (B, L, M)
        # Padding is alike to nothing, which is more than some passages' tokens are to any of the query's.
        most = similar.masked_fill(~query_mask[..., None], _MASKED).amax(1)
        best = torch.stack([2 * most, 2 * (weights[..., None] * similar).sum(1)], dim=-1)
        x = torch.cat([self.query(states), self.passage(decoded) + self.met(best)], dim=1)
        pairs = self._pairs(similar, places, query_mask, there)
        for layer in self.layers:
            x = layer(x, pairs)
        logits: Tensor = self.head(self.norm(x[:, states.shape[1] :])).float()
        return logits.masked_fill(~there[..., None], _MASKED)

    def _pairs(self, similar: Tensor, places: Tensor, query_mask: Tensor, there: Tensor) -> Tensor:
        """What stands between each two tokens, (B, channels, N N)."""
        queries, codes = similar.shape[1:]
        apart = (places[:, None, :] - places[:, :, None]).clamp(-_FAR, _FAR).to(similar.dtype)
        apart = apart / _PLACES
        after, before = (
            functional.pad(part, (queries, 0, queries, 0))
            for part in (apart.relu(), (-apart).relu())
        )
        # Each the other's: similar in the upper right corner, and in the lower left one.
        met = functional.pad(similar, (queries, 0, 0, codes)) + functional.pad(
            similar.transpose(1, 2), (0, codes, queries, 0)
        )
        padding = torch.cat([~query_mask, ~there], dim=1)[:, None, :] * similar.new_full(
            (), _MASKED
        )
        hidden = padding.expand(-1, queries + codes, -1)
        return torch.stack([met, after, before, hidden], dim=1).flatten(2)


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Attention among a query's tokens and a passage's, and a feed-forward layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, width = shape.heads, shape.width
        self.norm = nn.LayerNorm(width)
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, shape.inner), nn.Linear(shape.inner, width)
        for last in (self.out, self.down):
            nn.init.normal_(last.weight, std=0.02 / (2 * shape.layers) ** 0.5)
        self.pair_bias = nn.Parameter(_pair_bias(shape.heads))
        self.register_buffer("mask", torch.ones(shape.heads, 1), persistent=False)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.project(self.norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).flatten(
            1, 2
        )  # (B heads, N, width / heads)
        pair_bias = (torch.cat([self.pair_bias, self.mask], dim=1) @ pairs).view(-1, length, length)
        scale = (width // self.heads) ** -0.5
        attention = torch.baddbmm(pair_bias, query * scale, key.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(attention.to(value.dtype), value)
        mixed = mixed.view(batch, self.heads, length, -1).transpose(1, 2).reshape(x.shape)
        x = x + self.out(mixed)
        found: Tensor = x + self.down(functional.gelu(self.up(self.feed_norm(x))))
        return found


def _pair_bias(heads: int) -> Tensor:
    """What pairs count at first (heads, 3): each head reaches less far, most to either side or to one."""
    pair_bias = torch.zeros(heads, _CHANNELS - 1)
    pair_bias[:, 0] = torch.linspace(0, 24, heads)
    for head in range(heads):
        slope = 2.0 ** (-head / 2)
        kind = head % 4
        if kind != 3:  # which treats all places alike
            pair_bias[head, 1], pair_bias[head, 2] = -slope, -slope
        if kind < 2:
            pair_bias[head, 1 + kind] *= 8
    return pair_bias
