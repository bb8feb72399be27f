"""A decoder that scores a passage by how likely it makes the query, for ``python -m experiments.decoder``.

ED2LM (Hui et al. 2022) as published, in small: two layers of a transformer's decoder read the query's tokens
so far and, unlike the one that ships, project the passage's codes; what they say of the next token is held
against all tokens of the questions that are trained on. Its score, the mean of log p(q_t | q_<t, p), is mixed
with what late interaction says by the weight that does best on the development questions, so that figures
flatter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.decoder_states import Ground
from lurcher.benchmarks.baselines.cross_encoder.model import start
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.tokens.clustering import Integers
from lurcher.threads import available_cpus
from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop
from lurcher.training.ranker.batches import Batch, batch, draw
from lurcher.training.ranker.decoder_training import Schedule
from lurcher.training.ranker.network import sign_table, signs_of
from lurcher.training.ranker.questions import NO_SCORE, Questions
from lurcher.training.schedule import adamw

# Each costs a softmax over the vocabulary for every token of its query.
_NEGATIVES = 4
_LONGEST = 256  # tokens of a query
_OTHER = 0  # stands for every token that no question to train on has
_WEIGHTS = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
_DECAY = 0.1
_MEASURE = "MRR@10"
_NONE = -100  # of padding: what cross_entropy leaves out


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of questions by number, those to train on and those of development, and their embeddings."""

    questions: list[Integers]  # of each question, (L,)
    held: list[Integers]
    embeddings: Tensor  # (V, d) of the encoder, frozen

    @classmethod
    def of(cls, bundle: Bundle, questions: Sequence[str], held: Sequence[str]) -> Vocabulary:
        """That of those texts, as the encoder of ``bundle`` reads them."""
        encoder = Encoder.load(bundle.path / ENCODER, "teacher", available_cpus())
        ids = [
            [np.asarray(one.ids[encoder.own_tokens(one)], np.int64) for one in encoder.tokenise(texts)]
            for texts in (questions, held)
        ]  # fmt: skip
        known = np.unique(np.concatenate(ids[0]))
        numbers = np.full(encoder.vocabulary, _OTHER)
        numbers[known] = 1 + np.arange(len(known))
        table = start(None)[0].transformer.embeddings.word_embeddings.weight.detach()
        embeddings = torch.cat([table.mean(0, keepdim=True), table[torch.from_numpy(known)]])
        asked_for, held_out = ([numbers[one] for one in some] for some in ids)
        return cls(asked_for, held_out, embeddings)


class Likelihood(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Logarithms of how likely a query's tokens are after those before them and a passage's codes."""

    def __init__(self, bits: int, width: int, heads: int, embeddings: Tensor) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.enter, self.leave = (nn.Linear(embeddings.shape[1], width) for _ in range(2))
        self.begin = nn.Parameter(torch.zeros(width))
        self.places = nn.Embedding(_LONGEST, width)
        self.memory = nn.Linear(bits, width)
        layer = nn.TransformerDecoderLayer(
            width, heads, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, 2, nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(len(embeddings)))
        self.register_buffer("signs", sign_table(bits), persistent=False)
        # How far apart likelihoods are for the softmax over candidates.
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor, codes: Tensor, counts: Tensor) -> Tensor:
        """(B, C, L) of ``tokens`` (B, L), -100 for padding, and candidates' ``codes`` (B, C, M, bits/8)."""
        batch, candidates, most = codes.shape[:3]
        known = self.enter(functional.embedding(tokens.clamp(min=0), self.embeddings))
        first = self.begin.expand(batch, 1, -1)
        x = torch.cat([first, known[:, :-1]], 1) + self.places.weight[: tokens.shape[1]]
        x = x.repeat_interleave(candidates, 0)
        signs = signs_of(codes, self.signs)
        # A candidate without codes is as one of a code of padding: attention has to go somewhere.
        there = torch.arange(most, device=x.device) < counts.clamp(min=1)[..., None]
        causal = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1], device=x.device)
        x = self.layers(
            x, self.memory(signs).flatten(0, 1), tgt_mask=causal, tgt_is_causal=True,
            memory_key_padding_mask=~there.flatten(0, 1),
        )  # fmt: skip
        logits = x @ self.leave(self.embeddings).T + self.bias
        wanted = tokens.repeat_interleave(candidates, 0)
        found = functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=_NONE
        )
        return -found.view(batch, candidates, -1)


@dataclass(frozen=True)
class Reading:
    """A model that is to read the questions of a vocabulary."""

    ground: Ground
    vocabulary: Vocabulary
    model: Likelihood

    def train(self, loss: str, schedule: Schedule, folder: Path) -> None:
        """Train it; ``loss`` is likelihood, unlikelihood (ED2LM's L_UL) or listwise."""
        ground = self.ground

        epochs = Epochs(np.diff(ground.questions.ends, prepend=0), schedule.batch, schedule.seed)
        loop = Loop(
            folder / "likelihood.pt", self.model, adamw(self.model, schedule.learning_rate, _DECAY),
            schedule.steps, schedule.steps, "", schedule.rate, schedule.seed, schedule.mean,
        )  # fmt: skip
        self.model.train()

        def cost(step: int) -> Tensor:
            places = epochs.at(step)
            generator = np.random.default_rng((schedule.seed, step))
            drawn = draw(ground.questions, places, _NEGATIVES, generator)
            one = batch(ground.questions, ground.store, places, *drawn)
            return self._cost(one, places, loss)

        loop.run(cost)

    def _cost(self, one: Batch, questions: Rows, loss: str) -> Tensor:
        tokens = _padded([self.vocabulary.questions[question] for question in questions.tolist()])
        if loss == "likelihood":
            one = replace(one, codes=one.codes[:, :1], counts=one.counts[:, :1])
        found = self.model(tokens, one.codes, one.counts)  # (B, C, L)
        there = (tokens != _NONE)[:, None]
        lengths = there.sum(-1)
        likely = -(found * there).sum(-1) / lengths  # (B, C)
        if loss == "likelihood":
            return likely.mean()
        if loss == "unlikelihood":
            # log(1 - p), where p is not so near to 1 that it says nothing.
            unlikely = -torch.log1p(-found[:, 1:].exp().clamp(max=1 - 1e-4))
            others = one.prior[:, 1:] > NO_SCORE
            wrong = ((unlikely * there).sum(-1) / lengths * others).sum(1)
            return (likely[:, 0] + wrong).mean()
        logits = 20 * one.prior - self.model.log_scale.exp() * likely
        return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))

    def likelihoods(self) -> Vectors:
        """Those of the development questions for each candidate, (n, K): means over their tokens."""
        held, store = self.ground.development, self.ground.store
        found = np.empty(held.rows.shape, np.float32)
        self.model.eval()
        with torch.inference_mode():
            for question in range(len(held)):
                questions = np.array([question])
                one = batch(held, store, questions, held.rows[questions], held.prior[questions])
                tokens = _padded([self.vocabulary.held[question]])
                found[question] = self.model(tokens, one.codes, one.counts).mean(-1)[0].numpy()
        return found


def best_blend(held: Questions, scores: Vectors, likelihoods: Vectors) -> float:
    """MRR@10 of ``scores`` (n, K) and ``likelihoods`` (n, K), mixed by the weight that does best."""
    return max(held.quality(scores + weight * likelihoods)[_MEASURE] for weight in _WEIGHTS)


def _padded(tokens: Sequence[Integers]) -> Tensor:
    found = np.full((len(tokens), max(len(one) for one in tokens)), _NONE)
    for place, one in enumerate(tokens):
        found[place, : len(one)] = one
    return torch.from_numpy(found)
