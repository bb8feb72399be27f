"""The slow reference: every passage scored by the formulas, in plain loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.vectors import Vectors
from lurcher.models.neighbours.nearness import FAR, NEAR
from lurcher.models.neighbours.votes import raised

# Lively: nearly every neighbour speaks, and few are heard.
VOTING = VotingSettings(neighbours=5, temperature=0.1, margin=-0.2, dense_weight=0.5)
TunedMode = Literal["off", "adapted", "voting"]


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return normed


@dataclass
class Reference:
    """All there is, as plain arrays; what a server learnt is appended to the known queries."""

    passages: Vectors
    known: list[Vectors]
    answers: list[dict[int, float]]  # parts of the largest
    adapted_weight: float

    @classmethod
    def of(cls, bundle: Bundle) -> Reference:
        passages = bundle.vectors.vectors(np.arange(bundle.vectors.count))
        if bundle.neighbours is None:
            return cls(passages, [], [], 0.5)
        labels = bundle.neighbours.labels
        answers = [
            dict(zip(labels.rows[a:b].tolist(), labels.weights[a:b].tolist(), strict=True))
            for a, b in zip(labels.indptr, labels.indptr[1:], strict=False)
        ]
        vectors = bundle.neighbours.queries.vectors(np.arange(len(answers)))
        return cls(
            passages, list(vectors), answers, bundle.neighbours.settings.adapted.dense_weight
        )

    def learn(self, vector: Vectors, weights: dict[int, float]) -> None:
        self.known.append(vector)
        most = max(weights.values())
        self.answers.append({row: weight / most for row, weight in weights.items()})

    def votes(self, query: Vectors, voting: VotingSettings) -> Vectors:
        """The sums (n,) of what known queries vote."""
        similarities = np.array([query @ known for known in self.known], float)
        best = np.argsort(-similarities)[: voting.neighbours]
        near = np.clip((similarities[best] - FAR) / (NEAR - FAR), 0, 1)
        force = near * np.exp(similarities[best] / voting.temperature)
        votes = np.zeros(len(self.passages))
        for i, weight in zip(best, near * force / max(force.sum(), 1e-30), strict=True):
            for row, label in self.answers[i].items():
                own = float(self.known[i] @ self.passages[row])
                votes[row] += weight * max(0, similarities[i] - own - voting.margin) * label
        return votes

    def scores(
        self, query: Vectors, mode: TunedMode, weight: float | None, voting: VotingSettings = VOTING
    ) -> Vectors:
        """The score (n,) of every passage."""
        dense: Vectors = self.passages @ query
        if mode == "off":
            return dense
        if mode == "voting":
            weight = voting.dense_weight if weight is None else weight
            votes = self.votes(query, voting).astype(np.float32)
            return raised(dense, votes * (1 - weight) / max(weight, 0.01))
        weight = self.adapted_weight if weight is None else weight
        found = dense.copy()
        for row in {row for own in self.answers for row in own}:
            total = sum(
                own[row] * v for v, own in zip(self.known, self.answers, strict=True) if row in own
            )
            mean = unit(np.asarray(total))
            moved = unit(weight * self.passages[row] + (1 - weight) * mean) @ query
            near = min(max((mean @ query - FAR) / (NEAR - FAR), 0), 1)
            found[row] += near * (moved - dense[row])
        return found
