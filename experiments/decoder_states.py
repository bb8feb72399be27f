"""What decoders of ``python -m experiments.decoder`` are trained on where it is not what a bundle has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.jagged import places_of
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import LATE_WEIGHT, best_met, blend, maxsim
from lurcher.models.tokens.coder import Codes, unit
from lurcher.models.tokens.passages import encode_passages
from lurcher.models.tokens.products import product
from lurcher.training.ranker.network import Decoder
from lurcher.training.ranker.questions import NO_SCORE, CodeStore, Questions, token_store

_CHUNK = 1_024


@dataclass(frozen=True)
class Ground:
    """What a decoder is trained on and measured by, and what it reads."""

    questions: Questions
    development: Questions
    store: CodeStore

    @property
    def dimension(self) -> int:
        """Of the questions' token states."""
        return int(self.questions.states.shape[1])

    @property
    def bits(self) -> int:
        """Of a code."""
        return int(self.questions.projected.shape[1])


@dataclass(frozen=True)
class Halves:
    """Merged tokens that were not rounded: unit-norm float16, as the bytes that they are."""

    points: npt.NDArray[np.float16]  # (n, bits)
    starts: Rows  # (passages + 1,)

    def gather(self, rows: Rows) -> tuple[Codes, Rows]:
        """Their bytes (n, 2 bits) of passages ``rows`` (C,) in that order, and each one's number (C,)."""
        places, counts = places_of(self.starts, rows)
        return np.ascontiguousarray(self.points[places]).view(np.uint8), counts


class Halved(Decoder):
    """A decoder that reads float16 points instead of codes."""

    def decode(self, codes: Tensor) -> Tensor:
        """Points (..., bits) of their bytes (..., 2 bits)."""
        return codes.contiguous().view(torch.float16).float()


def in_float16(ground: Ground, bundle: Bundle, encoder: Encoder, work: Path) -> Ground:
    """``ground`` with the merged tokens of ``bundle`` as they are before they are rounded."""
    halves = _halves(bundle, encoder, work)
    coded = token_store(bundle)
    return replace(
        ground, store=halves,
        questions=_anew(ground.questions, coded, halves),
        development=_anew(ground.development, coded, halves),
    )  # fmt: skip


def _halves(bundle: Bundle, encoder: Encoder, work: Path) -> Halves:
    """What is in ``work`` already, or made of all passages."""
    store = token_store(bundle)
    coder, keep_ratio = store.coder, store.settings.keep_ratio
    points, starts = work / "merged.f16", work / "merged.npy"
    if not starts.exists():

        def merge(ids: list[int], states: Vectors) -> npt.NDArray[np.float16]:
            merged = product(coder.merged(states, ids, keep_ratio), coder.projection.passages)
            return unit(merged).astype(np.float16)

        def keep(ids: list[list[int]], states: list[Vectors]) -> list[npt.NDArray[np.float16]]:
            return [merge(*one) for one in zip(ids, states, strict=True)]

        counts = [0]
        with points.open("wb") as out:
            everything = bundle.all_rows()
            for first in range(0, len(everything), _CHUNK):
                rows = everything[first : first + _CHUNK]
                tokens = encoder.tokenise([p.content for p in bundle.passages.get(rows)])
                for one in encode_passages(encoder, tokens, keep)[1]:
                    counts.append(len(one))
                    out.write(one.tobytes())
        np.save(starts, np.cumsum(counts))
    found = np.load(starts)
    return Halves(np.memmap(points, np.float16, "r", shape=(int(found[-1]), coder.bits)), found)


def _anew(questions: Questions, coded: CodeStore, halves: Halves) -> Questions:
    """``questions`` with what late interaction scores in float16, in the order that it gives."""
    rows, prior = questions.rows.copy(), questions.prior.copy()
    relevant_prior = questions.relevant_prior.copy()
    for question in range(len(questions)):
        tokens, own = questions.tokens(question), questions.answers(question)
        points = questions.projected[tokens].astype(np.float32)
        weights = np.asarray(questions.weights[tokens])
        there = rows[question] >= 0
        candidates = rows[question][there]
        all_of_them = np.concatenate([candidates, questions.relevant[own]])
        rounded = maxsim(points, weights, *coded.gather(all_of_them))
        values, counts = halves.gather(all_of_them)
        met = best_met(values.view(np.float16).astype(np.float32) @ points.T, counts)
        more = np.float32(LATE_WEIGHT) * (met @ weights - rounded)
        found = prior[question][there] + more[: len(candidates)]
        order = np.argsort(-found, kind="stable")
        rows[question, : len(order)] = candidates[order]
        prior[question, : len(order)] = found[order]
        relevant_prior[own] += more[len(candidates) :]
    return replace(questions, rows=rows, prior=prior, relevant_prior=relevant_prior)


def random_candidates(
    questions: Questions, vectors: Vectors, bundle: Bundle, seed: int
) -> Questions:
    """``questions`` of ``vectors`` (n, d) with any passages of ``bundle`` as candidates."""
    store, generator = token_store(bundle), np.random.default_rng(seed)
    rows = generator.integers(0, bundle.passages.count, questions.rows.shape)
    prior = np.empty(rows.shape, np.float32)
    for question, vector in enumerate(vectors):
        tokens = questions.tokens(question)
        points = questions.projected[tokens].astype(np.float32)
        late = maxsim(points, np.asarray(questions.weights[tokens]), *store.gather(rows[question]))
        prior[question] = blend(bundle.vectors.vectors(rows[question]) @ vector, late)
    return replace(questions, rows=rows, prior=prior)


def without_prior(questions: Questions) -> Questions:
    """``questions`` without what late interaction scores their candidates; these stay in its order."""
    prior = np.where(questions.rows >= 0, 0, NO_SCORE).astype(np.float32)
    return replace(questions, prior=prior, relevant_prior=np.zeros_like(questions.relevant_prior))
