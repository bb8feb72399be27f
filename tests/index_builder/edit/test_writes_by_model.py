"""Random writes, flushes, compactions, restarts and kills, held against a dictionary after each step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Condition, Passage
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import Encoded, PassageEncoder
from lurcher.index_builder.edit.memory_segment import memory_segment
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Request, Upsert
from lurcher.index_builder.edit.splitting import splitter_of
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.encoders.encoder import Encoder
from lurcher.order import evened, inner_products
from tests.killed import KilledError
from tests.scratch import SCRATCH, run_sequences, scratch_bundle
from tests.tiny import TinyOptions

TEXTS = [
    "", "a fox", "a fox and a hare", "yeast makes bread rise", "the oboe gives the note A",
    "a glacier carves a valley over thousands of years. trains leave every twenty minutes. a cat sleeps",
    "a glacier carves a valley over thousands of years. trains leave every twenty minutes. a dog barks",
]  # fmt: skip
# The last is an id that a passage of the first may get.
IDS = ["a", "b", "c", "d", "a#1"]
COLOURS = ["red", "green", None]
POLICY = WritePolicy(passages=10**9, age=1e9, step=3)


class Base:
    """The bundle that each sequence starts from, and what is computed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.encoder = Encoder.load(path / ENCODER, "passage", 1)
        with closing(Bundle.open(path)) as bundle:
            self.splitter = splitter_of(bundle)
            self.manifest, self.codecs = bundle.manifest, bundle.codecs
            self.passages = bundle.passages.get(range(bundle.passages.count))
            self.queries = bundle.query_encoder(1).encode(["a fox", "a cat sleeps", "bread"])
            self.coding = PassageEncoder(bundle, self.encoder)
            assert bundle.lexical is not None
            self.frequencies = Frequencies.of(bundle.lexical.parts[0])
            self.encoded = {p.id: self.of_base(bundle, row) for row, p in enumerate(self.passages)}
        self._known: dict[str, Encoded] = {}

    def words_of(self, passages: list[Passage], terms: list[str]) -> dict[str, float]:
        """The lexical score of each of ``passages`` that has any of ``terms``, by one index of them alone."""
        without = {"encoder": None, "tokens": None, "reading": None}
        one = Encoded(tuple(passages), (None,) * len(passages), None)
        segment = memory_segment(one, self.manifest.model_copy(update=without), self.codecs, None)
        assert segment.lexical is not None
        assert self.manifest.lexical is not None
        assert self.codecs.analyser is not None
        index = LexicalIndex.of(
            self.manifest.lexical,
            self.codecs.analyser,
            self.frequencies,
            [segment.lexical],
            RowSpace.of([len(passages)], [None]),
        )
        scores, rows = index.top(index.look_up(terms), len(passages))
        return {
            passages[row].id: score
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        }

    def of_base(self, bundle: Bundle, row: int) -> Any:
        """Vector and codes as the build stored them."""
        rows = np.array([row])
        assert bundle.tokens is not None
        return bundle.vectors.vectors(rows)[0], bundle.tokens.gather(rows)[0]

    def of(self, passage: Passage) -> tuple[Any, Any]:
        """Vector and codes as a write stores them."""
        if passage.content not in self._known:
            self._known[passage.content] = self.coding.encode([passage], [None])
        found = self._known[passage.content]
        assert found.vectors is not None
        return found.vectors[0], found.kept[0].coded.codes


class Writes(RuleBasedStateMachine):
    """A writer beside ``documents``: the passages of each, and vector and codes of each passage."""

    base: Base

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        self.path = self.folder / "docs.lurcher"
        shutil.copytree(self.base.path, self.path, copy_function=os.link)
        self.documents: dict[str, list[Passage]] = {}
        for passage in self.base.passages:
            self.documents.setdefault(passage.document, []).append(passage)
        self.stored = dict(self.base.encoded)
        self.left: list[int | None] = [None]
        self.sequence = 0
        self.open()

    def open(self) -> None:
        how: Any = {
            "policy": POLICY, "check_hashes": False, "fail_point": self.fail_point,
            "load_encoder": lambda bundle: PassageEncoder(bundle, self.base.encoder),
        }  # fmt: skip
        try:
            self.writer = Writer.open(self.path, **how)
        except KilledError:
            self.writer = Writer.open(self.path, **how)

    def fail_point(self, reached: str) -> None:
        """Raise when it is reached for the n-th time, if ``left`` has an n."""
        if self.left[0] is not None:
            self.left[0] -= 1
            if self.left[0] < 0:
                self.left[0] = None
                raise KilledError(reached)

    def ids(self) -> dict[str, str]:
        """The document of each id there is, of passages and of documents."""
        found = {one.id: d for d, own in self.documents.items() for one in own}
        return found | {document: document for document in self.documents}

    def perform(self, request: Request, change: Callable[[], None], refused: bool) -> None:
        """Let the writer do ``request``, and ``change`` the model if it is acknowledged or found done."""
        try:
            (outcome,) = self.writer.commit([request])
        except KilledError:
            self.restart()
            if self.writer.sequence > self.sequence:  # it was on the disk
                assert not refused
                self.sequence = self.writer.sequence
                change()
            return
        assert isinstance(outcome, FieldError) == refused, outcome
        if isinstance(outcome, Receipt):
            assert outcome.sequence == self.writer.sequence
            assert outcome.sequence - self.sequence in (0, 1)
            self.sequence = outcome.sequence
            change()

    def restart(self) -> None:
        self.left[0] = None
        self.writer.abandon()
        self.open()
        assert self.writer.sequence >= self.sequence

    @rule(id_=st.sampled_from(IDS), text=st.sampled_from(TEXTS), colour=st.sampled_from(COLOURS))
    def upsert(self, id_: str, text: str, colour: str | None) -> None:
        metadata = {} if colour is None else {"colour": colour}
        document = Document(id_, text, metadata=metadata)
        ((*new,),) = self.base.splitter.split([document])
        there = self.ids()
        refused = any(there.get(one, id_) != id_ for one in {id_, *(p.id for p in new)})

        def change() -> None:
            old = {one.id: one for one in self.documents.pop(id_, [])}
            for one in new:
                if one.id not in old or old[one.id].content != one.content:
                    self.stored[one.id] = self.base.of(one)
            self.documents[id_] = list(new)

        self.perform(Upsert((document,)), change, refused)

    @rule(
        ids=st.lists(
            st.sampled_from([*IDS, "base-0", "base-1", "c#1", "none"]), min_size=1, max_size=3
        )
    )
    def delete(self, ids: list[str]) -> None:
        def change() -> None:
            for id_ in ids:
                passages = {one.id for own in self.documents.values() for one in own}
                if id_ in passages:
                    self.drop({id_})
                else:
                    self.drop({one.id for one in self.documents.get(id_, [])})

        self.perform(Delete(tuple(ids)), change, refused=False)

    def drop(self, ids: set[str]) -> None:
        for document in list(self.documents):
            self.documents[document] = [p for p in self.documents[document] if p.id not in ids]
            if not self.documents[document]:
                del self.documents[document]

    @rule(colour=st.sampled_from(["red", "green"]))
    def delete_by_filter(self, colour: str) -> None:
        if "colour" not in self.writer.bundle.passages.fields:
            return
        has = {
            p.id
            for own in self.documents.values()
            for p in own
            if p.metadata.get("colour") == colour
        }
        everything = bool(has) and len(has) == len(self.flat())
        condition = Condition("colour", "in", (colour,))
        self.perform(Delete(conditions=(condition,)), lambda: self.drop(has), refused=everything)

    @rule(id_=st.sampled_from(IDS), size=st.sampled_from([1, None]))
    def patch(self, id_: str, size: int | None) -> None:
        def change() -> None:
            passages = self.flat()
            for document, own in self.documents.items():
                # An id of a passage is that passage; else it is a document's.
                ids = {id_} if id_ in passages else {p.id for p in own if document == id_}
                self.documents[document] = [_patched(p, size) if p.id in ids else p for p in own]

        there = self.ids()
        self.perform(Patch({id_: {"size": size}}), change, refused=id_ not in there)

    @rule()
    def flush(self) -> None:
        self.guarded(self.writer.flush)

    @rule(everything=st.booleans())
    def compact(self, everything: bool) -> None:
        self.guarded(lambda: self.writer.compact(everything))

    def guarded(self, do: Callable[[], object]) -> None:
        try:
            do()
        except KilledError:
            self.restart()

    @rule()
    def close_and_open(self) -> None:
        self.guarded(self.writer.flush)
        self.writer.close()
        self.open()

    @rule()
    def kill(self) -> None:
        self.restart()

    @rule(reached=st.integers(0, 12))
    def kill_soon(self, reached: int) -> None:
        self.left[0] = reached

    def flat(self) -> dict[str, Passage]:
        return {one.id: one for own in self.documents.values() for one in own}

    @invariant()
    def is_what_the_dictionary_has(self) -> None:
        bundle, expected = self.writer.bundle, self.flat()
        rows = bundle.passages.rows(())
        found = bundle.passages.get(rows.tolist())
        assert {one.id: one for one in found} == expected
        assert len(found) == len(expected)
        for document in [*IDS, "base-0"]:
            assert bundle.passages.of_document(document) == self.documents.get(document, [])
        self.assert_same_vectors(bundle, expected)
        self.assert_same_words(bundle, expected)
        assert bundle.tokens is not None
        for row, one in zip(rows, found, strict=True):
            codes, _ = bundle.tokens.gather(np.array([row]))
            assert codes.tobytes() == self.stored[one.id][1].tobytes()

    def assert_same_vectors(self, bundle: Bundle, expected: dict[str, Passage]) -> None:
        ids = list(expected)
        vectors = np.array([self.stored[id_][0] for id_ in ids], np.float32).reshape(len(ids), -1)
        for query, (scores, rows) in zip(
            self.base.queries, bundle.vectors.top(self.base.queries, 4), strict=True
        ):
            brute = evened(inner_products(vectors, query)) if ids else np.zeros(0, np.float32)
            assert scores.tolist() == sorted(brute.tolist(), reverse=True)[:4]
            by_id = dict(zip(ids, brute.tolist(), strict=True))
            for score, one in zip(scores.tolist(), bundle.passages.get(rows.tolist()), strict=True):
                assert by_id[one.id] == score

    def assert_same_words(self, bundle: Bundle, expected: dict[str, Passage]) -> None:
        words, base = bundle.lexical, self.base
        assert words is not None
        terms = words.analyser.query_terms("fox cat sleeps glacier bread")
        scores, rows = words.top(words.look_up(terms), 100)
        found = bundle.passages.get(rows.tolist())
        by_id = {one.id: score for one, score in zip(found, scores.tolist(), strict=True)}
        assert by_id == (base.words_of(list(expected.values()), terms) if expected else {})

    def teardown(self) -> None:
        if not hasattr(self, "writer"):
            return
        self.left[0] = None
        self.writer.close()
        assert verify(self.path) == []
        shutil.rmtree(self.folder)


def _patched(passage: Passage, size: int | None) -> Passage:
    kept = {name: value for name, value in passage.metadata.items() if name != "size"}
    return replace(passage, metadata=kept if size is None else {**passage.metadata, "size": size})


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    texts = ["a fox sleeps", "trains and bread", "the cat"]
    with scratch_bundle(texts, TinyOptions(window=12, overlap=2)) as path:
        yield Base(path)


def run(base: Base, sequences: int, steps: int) -> None:
    Writes.base = base
    run_sequences(Writes, sequences, steps)


def test_writes_are_those_of_a_dictionary(base: Base) -> None:
    run(base, 6, 14)


@pytest.mark.nightly
def test_two_thousand_sequences_of_writes(base: Base) -> None:
    run(base, 2_000, 30)
