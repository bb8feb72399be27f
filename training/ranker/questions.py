"""What a decoder is trained on: questions with candidates as a search with a bundle would rank them.

All that does not change in training is computed once, and lies in memory-mapped files::

    states.f16, projected.f16   (T, d), (T, bits)    of every question's tokens, one after the other
    weights.npy              (T,)                 of those tokens
    ends.npy                 (n,)                 where each question's tokens end
    rows.npy, prior.npy      (n, K)               candidates and their scores, best first; row -1: none
    relevant.npy             (R,)                 rows of what answers the questions, one after the other
    relevant_prior.npy, grades.npy   (R,)         their scores and grades
    relevant_ends.npy        (n,)
    kept.npy                 (n,)                 which of the judged questions these are
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.errors import CorpusError, FieldError, ModelError
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import per_query
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.ranker.maxsim import blend, maxsim
from lurcher.models.tokens.coder import Codes

# Of no candidate: far below any, and finite, for the sake of gradients.
NO_SCORE = -1e4

_CHUNK = 256  # questions encoded at a time
_SHOWN = 3
_ARRAYS = ("weights", "ends", "rows", "prior", "relevant", "relevant_prior", "grades",
           "relevant_ends", "kept")  # fmt: skip


class CodeStore(Protocol):
    """What passages' codes are read from; the token store of a bundle is one."""

    def gather(self, rows: Rows) -> tuple[Codes, Rows]:
        """The codes (n, bits/8) of passages ``rows`` (C,) in that order, and each one's number (C,)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions, and the grade above 0 of each row that answers one; (n,) both."""

    texts: list[str]
    ids: list[str]
    relevant: list[dict[int, int]]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: npt.NDArray[np.int64]) -> Judged:
        """Those at ``places``."""
        at = places.tolist()
        return Judged(
            [self.texts[i] for i in at], [self.ids[i] for i in at], [self.relevant[i] for i in at]
        )


def judged(
    bundle: Bundle, texts: dict[str, str], qrels: Qrels, source: Path, skip_unknown: bool = False
) -> Judged:
    """The questions of ``texts`` that a passage of ``bundle`` answers, by ``qrels``, read from ``source``.

    Raises CorpusError for ids that are not known, unless they are to be skipped, and where no question
    is left.
    """
    answers = {query: {p: g for p, g in grades.items() if g > 0} for query, grades in qrels.items()}
    rows = bundle.passages.rows_of(list({p for found in answers.values() for p in found}))
    strange = [query for query in answers if query not in texts]
    missing = [p for found in answers.values() for p in found if p not in rows]
    for what, unknown, where in (
        ("judged queries", strange, "among the queries"),
        ("relevant passages", list(dict.fromkeys(missing)), f"in {bundle.path}"),
    ):
        if unknown and not skip_unknown:
            first = ", ".join(map(repr, unknown[:_SHOWN]))
            reason = f"{len(unknown):,} {what} are not {where} (first: {first})"
            raise CorpusError(source, None, f"{reason}; pass --skip-unknown to leave them out")
    found = Judged([], [], [])
    for query, grades in answers.items():
        here = {rows[passage]: grade for passage, grade in grades.items() if passage in rows}
        if here and query in texts:
            found.texts.append(texts[query])
            found.ids.append(query)
            found.relevant.append(here)
    if not len(found):
        raise CorpusError(source, None, f"no passage of {bundle.path} answers any of its queries")
    return found


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions with K candidates each, as drawn at the top of this module."""

    states: npt.NDArray[np.float16]
    projected: npt.NDArray[np.float16]
    weights: Vectors
    ends: Rows
    rows: Rows
    prior: Vectors
    relevant: Rows
    relevant_prior: Vectors
    grades: npt.NDArray[np.int64]
    relevant_ends: Rows
    kept: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def make(
        cls, folder: Path, bundle: Bundle, encoder: Encoder, judged: Judged, depth: int, keep: int,
        report: Callable[[int], None] = lambda _: None,
    ) -> Questions:  # fmt: skip
        """The questions of ``judged``, in the new ``folder``; ``report`` hears of each chunk's size.

        The first stage finds ``depth`` passages, of which the ``keep`` best by late interaction stay. A
        text without tokens is left out. Raises FieldError where there is no other, ModelError for a bundle
        without tokens.
        """
        store = token_store(bundle)
        arrays: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _ARRAYS}
        folder.mkdir(parents=True)
        with (
            (folder / "states.f16").open("wb") as states,
            (folder / "projected.f16").open("wb") as projected,
        ):
            for start in range(0, len(judged), _CHUNK):
                texts = judged.texts[start : start + _CHUNK]
                for place, one in _searched(bundle, store, encoder, texts, depth):
                    relevant = judged.relevant[start + place]
                    _append(arrays, one, relevant, bundle, store, keep, start + place)
                    _write(states, one.states)
                    _write(projected, one.projected)
                report(len(texts))
        if not arrays["rows"]:
            raise FieldError("queries", "none holds a word that the encoder reads")
        for name, parts in arrays.items():
            whole = np.stack(parts) if name in ("rows", "prior") else np.concatenate(parts)
            if name.endswith("ends"):
                whole = np.cumsum(whole)
            np.save(folder / f"{name}.new.npy", whole)
        for name in _ARRAYS:  # the last one's presence says that the rest is there
            (folder / f"{name}.new.npy").replace(folder / f"{name}.npy")
        return cls.open(folder, bundle)

    @classmethod
    def open(cls, folder: Path, bundle: Bundle) -> Questions:
        """What ``make`` left in ``folder``. Raises FileNotFoundError where it did not finish."""
        kept = np.load(folder / "kept.npy")
        found: dict[str, Any] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS[:-1]
        }
        dimension, bits = bundle.encoder.dimension, token_store(bundle).coder.bits
        for name, wide in (("states", dimension), ("projected", bits)):
            shape = (int(found["ends"][-1]), wide)
            found[name] = np.memmap(folder / f"{name}.f16", np.float16, "r", shape=shape)
        return cls(**found, kept=kept)

    def tokens(self, question: int) -> slice:
        """Where the tokens of a question are."""
        return slice(int(self.ends[question - 1]) if question else 0, int(self.ends[question]))

    def answers(self, question: int) -> slice:
        """Where what answers a question is, among the relevant ones."""
        start = int(self.relevant_ends[question - 1]) if question else 0
        return slice(start, int(self.relevant_ends[question]))

    def quality(self, scores: Vectors | None = None) -> dict[str, float]:
        """MRR@10 and nDCG@10 with candidates ordered by ``scores`` (n, K); None: as they are.

        What answers a question and is not among its candidates counts as not found.
        """
        run, qrels = [], {}
        for question in range(len(self)):
            rows = self.rows[question]
            if scores is not None:
                rows = rows[np.argsort(-scores[question], kind="stable")]
            run.append([(str(row), 0.0) for row in rows.tolist() if row >= 0])
            own = self.answers(question)
            pairs = zip(self.relevant[own].tolist(), self.grades[own].tolist(), strict=True)
            qrels[str(question)] = {str(row): grade for row, grade in pairs}
        found = per_query(list(qrels), run, qrels)
        return {name: float(found[name].mean()) for name in ("MRR@10", "nDCG@10")}


def token_store(bundle: Bundle) -> TokenStore:
    """The tokens of ``bundle``. Raises ModelError where it has none."""
    if bundle.tokens is None:
        reason = "has no tokens to train a ranker on; `lurcher build` makes a bundle that has"
        raise ModelError(f"{bundle.path}: {reason}")
    return bundle.tokens


def padded_codes(store: CodeStore, rows: Rows) -> tuple[Codes, Rows]:
    """The codes (n, M, bits/8) of ``rows`` (n,), padded, and each one's number (n,); of row -1 none."""
    there = rows >= 0
    codes, some = store.gather(rows[there])
    counts = np.zeros(len(rows), np.int64)
    counts[there] = some
    padded = np.zeros((len(rows), max(1, int(counts.max())), codes.shape[1]), np.uint8)
    padded[np.arange(padded.shape[1]) < counts[:, None]] = codes
    return padded, counts


@dataclass(frozen=True, slots=True)
class _Searched:
    states: Vectors  # (L, d)
    projected: Vectors  # (L, bits)
    weights: Vectors  # (L,)
    vector: Vectors  # (d,)
    rows: Rows  # (depth,)
    dense: Vectors  # (depth,)


def _searched(
    bundle: Bundle, store: TokenStore, encoder: Encoder, texts: Sequence[str], depth: int
) -> Iterator[tuple[int, _Searched]]:
    """Each of ``texts`` that has tokens, with its place and what the first stage finds for it."""
    tokens: list[Tokens] = encoder.tokenise(texts)
    vectors, states = encoder.encode_states(tokens)
    dense, rows = bundle.vectors.search(vectors, min(depth, bundle.vectors.count))
    for place, read in enumerate(tokens):
        own = encoder.own_tokens(read)
        if own.stop > own.start:
            projected, weights = store.coder.queries(states[place][own], read.ids[own])
            yield (
                place,
                _Searched(
                    states[place][own],
                    projected,
                    weights,
                    vectors[place],
                    rows[place],
                    dense[place],
                ),
            )


def _append(
    arrays: dict[str, list[npt.NDArray[Any]]], one: _Searched, relevant: dict[int, int],
    bundle: Bundle, store: TokenStore, keep: int, place: int,
) -> None:  # fmt: skip
    answers = np.array(list(relevant), np.int64)
    there = one.rows >= 0
    rows = np.concatenate([one.rows[there], answers])
    dense = np.concatenate([one.dense[there], bundle.vectors.vectors(answers) @ one.vector])
    late = maxsim(one.projected, one.weights, *store.gather(rows))
    score = blend(dense, late, bundle.preset.late)
    found = len(rows) - len(answers)
    best = np.argsort(-score[:found], kind="stable")[:keep]
    width = min(keep, len(one.rows))
    candidates, prior = np.full(width, -1), np.full(width, NO_SCORE, np.float32)
    candidates[: len(best)], prior[: len(best)] = rows[best], score[best]
    for name, part in (
        ("weights", one.weights), ("ends", np.array([len(one.weights)])), ("rows", candidates),
        ("prior", prior), ("relevant", answers), ("relevant_prior", score[found:]),
        ("grades", np.array(list(relevant.values()), np.int64)),
        ("relevant_ends", np.array([len(answers)])), ("kept", np.array([place])),
    ):  # fmt: skip
        arrays[name].append(part)


def _write(file: BinaryIO, array: Vectors) -> None:
    # Written, not mapped: a full disk is then an error, not a signal.
    file.write(array.astype(np.float16).tobytes())
