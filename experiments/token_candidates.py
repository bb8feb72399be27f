"""What ``python -m experiments.tokens`` measures on: token states of the development queries' candidates.

States are what all settings share and what takes longest, so they are kept::

    SET-QUERIES-FINGERPRINT.f16    the candidates' states, (T, d) float16, mapped
    SET-QUERIES-FINGERPRINT.npz    all else
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.stages.fit_token_coder import calibrate
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.products import Vectors
from lurcher.threads import available_cpus

_CHUNK = 256
_AT = 10


@dataclass(frozen=True)
class DevelopmentSet:
    """``queries`` of a ``split`` of a data set, and how many passages the first stage finds for each."""

    name: str
    split: str
    queries: int
    found: int
    reciprocal: bool = False  # MRR@10, for one relevant passage a query; otherwise nDCG@10


SETS = (
    DevelopmentSet("scifact", "train", 250, 100),
    DevelopmentSet("nfcorpus", "dev", 200, 100),
    DevelopmentSet("squad-open", "dev", 400, 50, reciprocal=True),
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of Q queries, C each, among P passages of T tokens; special tokens left out.

    Mean, components and frequency are of a sample of the whole corpus, as ``lurcher build`` takes it.
    """

    rows: Integers  # (Q, C), of the passages 0..P-1
    dense: Vectors  # (Q, C)
    grades: Vectors  # (Q, C)
    ideal: Vectors  # (Q,) the sum that the best order of all that is judged would have
    states: npt.NDArray[np.float16]  # (T, d)
    ids: Integers  # (T,)
    starts: Integers  # (P + 1,)
    query_states: Vectors  # (S, d)
    query_ids: Integers  # (S,)
    query_starts: Integers  # (Q + 1,)
    mean: Vectors  # (d,) of all states
    components: Vectors  # (d, d) principal ones, the largest first
    frequency: Vectors  # (vocabulary,) share of the passages that hold the token
    reciprocal: bool

    def quality(self, scores: Vectors) -> float:
        """The mean measure of the order that ``scores`` (Q, C) give."""
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_AT]
        gains = np.take_along_axis(self.grades, order, axis=1)
        if self.reciprocal:
            right = gains > 0
            return float(np.where(right.any(axis=1), 1 / (right.argmax(axis=1) + 1), 0).mean())
        return float((gains @ _discounts(gains.shape[1]) / self.ideal).mean())


def _discounts(count: int) -> Vectors:
    return (1 / np.log2(np.arange(2, count + 2))).astype(np.float32)


def candidates(one: DevelopmentSet, bundles: Path, data: Path, work: Path) -> Candidates:
    """The candidates of ``one``, from ``work`` if they were made before."""
    with closing(Bundle.open(bundles / f"{one.name}.lurcher")) as bundle:
        fingerprint = bundle.encoder.fingerprint.removeprefix("sha256:")[:12]
        stem = f"{one.name}-{one.queries}-{fingerprint}"
        arrays, states = work / f"{stem}.npz", work / f"{stem}.f16"
        if not arrays.exists():
            work.mkdir(parents=True, exist_ok=True)
            _encode(one, bundle, data / one.name, states, arrays)
    with np.load(arrays) as kept:
        parts = {name: kept[name] for name in kept.files}
    shape = len(parts["ids"]), len(parts["mean"])
    mapped = np.memmap(states, np.float16, "r", shape=shape).view(np.ndarray)
    return Candidates(states=mapped, reciprocal=one.reciprocal, **parts)


def _encode(one: DevelopmentSet, bundle: Bundle, data: Path, states: Path, arrays: Path) -> None:
    """Write the states of what ``bundle`` finds for the queries, then all else."""
    qrels = read_qrels(data / "qrels" / f"{one.split}.tsv")
    texts = read_queries(data / "queries.jsonl")
    judged = sorted(i for i, grades in qrels.items() if any(grade > 0 for grade in grades.values()))
    chosen = [judged[i] for i in np.random.default_rng(0).permutation(len(judged))[: one.queries]]
    encoder = Encoder.load(bundle.path / ENCODER, "passage", available_cpus())
    reader = Encoder.load(bundle.path / ENCODER, "teacher", available_cpus())
    tokens = reader.tokenise([texts[i] for i in chosen])
    vectors, found = reader.encode_states(tokens)
    dense, rows = bundle.vectors.search(vectors, one.found)
    own = [reader.own_tokens(each) for each in tokens]
    query_ids = [each.ids[kept] for each, kept in zip(tokens, own, strict=True)]
    unique, places = np.unique(rows, return_inverse=True)
    passages = bundle.passages.get(unique.tolist())
    ids: list[Integers] = []
    with states.open("wb") as out:
        for first in range(0, len(passages), _CHUNK):
            read = encoder.tokenise([p.content for p in passages[first : first + _CHUNK]])
            for each, own_states in zip(read, encoder.encode_states(read)[1], strict=True):
                kept = encoder.own_tokens(each)
                ids.append(np.asarray(each.ids[kept], np.int64))
                out.write(own_states[kept].astype(np.float16).tobytes())
    all_bits = encoder.config.dimension
    coder = calibrate(PassageTokens(bundle.passages, encoder), all_bits, None, 0)
    names = np.array([passage.id for passage in passages])[places.reshape(rows.shape)]
    best = [sorted(qrels[i].values(), reverse=True)[:_AT] for i in chosen]
    scratch = arrays.with_suffix(".partial.npz")
    np.savez(
        scratch,
        rows=places.reshape(rows.shape),
        dense=dense,
        grades=np.array(
            [[qrels[i].get(name, 0) for name in row] for i, row in zip(chosen, names, strict=True)],
            np.float32,
        ),
        ideal=np.array([np.array(top) @ _discounts(len(top)) for top in best], np.float32),
        ids=np.concatenate(ids),
        starts=_starts([len(each) for each in ids]),
        query_states=np.concatenate([s[kept] for s, kept in zip(found, own, strict=True)]),
        query_ids=np.concatenate([np.asarray(each, np.int64) for each in query_ids]),
        query_starts=_starts([len(each) for each in query_ids]),
        mean=coder.mean,
        # They come turned; turned back they are components again.
        components=coder.projection.passages @ rotation(coder.bits, 0).T,
        frequency=coder.frequency,
    )
    scratch.replace(arrays)


def rotation(bits: int, seed: int) -> Vectors:
    """The random rotation (bits, bits) that ``models.tokens.projection.principal`` makes of ``seed``."""
    noise = np.random.default_rng(seed).standard_normal((bits, bits))
    return np.linalg.qr(noise)[0].astype(np.float32)


def _starts(lengths: list[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
