"""A follower beside a writer that is killed, held against a dictionary at each step of each write."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.errors import WriteNotKept
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.follower import PATIENCE, Follower
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Request, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.encoders.encoder import Encoder
from tests.killed import KilledError
from tests.scratch import SCRATCH, run_sequences, scratch_bundle

IDS = ["a", "b", "c", "base-0", "base-1"]
WORDS = ["a fox", "a hare", "bread", "the cat", ""]
POLICY = WritePolicy(passages=10**9, age=1e9, step=3)

Texts = dict[str, tuple[str, Any]]  # text and colour of each passage, by id


class Following(RuleBasedStateMachine):
    """``states`` has what the bundle is after each write; the follower has one of them at any time."""

    base: Path
    encoder: Encoder

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        self.path = self.folder / "docs.lurcher"
        shutil.copytree(self.base, self.path, copy_function=os.link)
        self.steps_left: int | None = None
        self.refuse = self.look = False
        self.now, self.seen, self.sequence = 0.0, 0, 0
        with closing(Bundle.open(self.path, check_hashes=False)) as bundle:
            self.states = {0: found_in(bundle)}
        self.follower = self.new_follower()
        self.writer = self.new_writer()

    def load(self, bundle: Bundle) -> PassageEncoder:
        return PassageEncoder(bundle, self.encoder)

    def new_follower(self) -> Follower:
        return Follower.open(
            self.path,
            check_hashes=False,
            policy=POLICY,
            load_encoder=self.load,
            clock=lambda: self.now,
        )

    def new_writer(self) -> Writer:
        while True:
            try:
                return Writer.open(
                    self.path, policy=POLICY, check_hashes=False, load_encoder=self.load,
                    fail_point=self.fail_point,
                )  # fmt: skip
            except KilledError:
                self.steps_left = None

    def fail_point(self, reached: str) -> None:
        """At each step of a write somebody may look, the disk may be full, or the process may be killed."""
        if self.look:
            self.follow()
        if self.refuse and reached == "wal: append written":
            self.refuse = False
            raise OSError(28, "no space left")
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.steps_left = None
                raise KilledError(reached)

    def follow(self) -> None:
        """The follower has a state that was, no older than before, and none that was not acknowledged."""
        self.follower.poll()
        assert self.follower.sequence >= self.seen
        self.seen = self.follower.sequence
        assert found_in(self.follower.bundle) == self.states[self.seen]

    def perform(self, request: Request, after: Texts) -> None:
        self.states[self.sequence + 1] = after  # until another write gets this number
        try:
            (outcome,) = self.writer.commit([request])
        except KilledError:
            self.restart()
            return
        if isinstance(outcome, WriteNotKept):
            del self.states[self.sequence + 1]
            return
        assert isinstance(outcome, Receipt), outcome
        self.sequence = self.writer.sequence

    def guarded(self, do: Callable[[], object]) -> None:
        try:
            do()
        except KilledError:
            self.restart()

    def restart(self) -> None:
        """As if the process had been killed: another writer opens what is on the disk."""
        self.steps_left = None
        self.writer.abandon()
        if self.look:
            self.follow()
        self.writer = self.new_writer()
        assert self.writer.sequence - self.sequence in (0, 1)
        self.sequence = self.writer.sequence

    @property
    def state(self) -> Texts:
        return self.states[self.sequence]

    @rule(id_=st.sampled_from(IDS), text=st.sampled_from(WORDS))
    def upsert(self, id_: str, text: str) -> None:
        self.perform(Upsert((Document(id_, text),)), {**self.state, id_: (text, None)})

    @rule(id_=st.sampled_from(IDS))
    def delete(self, id_: str) -> None:
        after = {one: text for one, text in self.state.items() if one != id_}
        self.perform(Delete((id_,)), after)

    @rule(id_=st.sampled_from(IDS), colour=st.sampled_from(["red", "green"]))
    def patch(self, id_: str, colour: str) -> None:
        if id_ in self.state:
            after = {**self.state, id_: (self.state[id_][0], colour)}
            self.perform(Patch({id_: {"colour": colour}}), after)

    @rule()
    def flush(self) -> None:
        self.guarded(self.writer.flush)

    @rule(everything=st.booleans())
    def compact(self, everything: bool) -> None:
        self.guarded(lambda: self.writer.compact(everything))

    @rule()
    def kill(self) -> None:
        self.restart()

    @rule(steps=st.integers(0, 12))
    def kill_soon(self, steps: int) -> None:
        self.steps_left = steps

    @rule()
    def fill_the_disk(self) -> None:
        self.refuse = True

    @rule(look=st.booleans())
    def look_at_each_step(self, look: bool) -> None:
        self.look = look

    @rule()
    def look_now(self) -> None:
        self.follow()
        if self.seen < self.sequence:  # the generation may have moved meanwhile
            self.follow()
        assert self.seen == self.sequence

    @rule()
    def follow_anew(self) -> None:
        self.follower.abandon()
        self.follower = self.new_follower()
        self.follow()

    @rule()
    def wait_for_a_dead_writer(self) -> None:
        """What it has acknowledged is seen, even if it was killed before it encoded that."""
        self.writer.abandon()
        self.follow()
        self.now += PATIENCE
        self.follow()
        seen = self.seen
        self.writer = self.new_writer()
        self.sequence = self.writer.sequence
        assert seen == self.sequence

    def teardown(self) -> None:
        if not hasattr(self, "writer"):
            return
        self.steps_left, self.refuse = None, False
        self.writer.close()
        self.look_now()
        self.follower.abandon()
        shutil.rmtree(self.folder)


def found_in(bundle: Bundle) -> Texts:
    found = bundle.passages.get(bundle.passages.rows(()).tolist())
    texts = {one.id: (one.text, one.metadata.get("colour")) for one in found}
    assert len(texts) == len(found)
    return texts


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with scratch_bundle(["a fox sleeps", "trains and bread"]) as path:
        yield path


def run(base: Path, sequences: int, steps: int) -> None:
    Following.base, Following.encoder = base, Encoder.load(base / ENCODER, "passage", 1)
    run_sequences(Following, sequences, steps, phases=[Phase.generate])


def test_a_follower_has_a_state_that_was_whatever_happens_to_the_writer(base: Path) -> None:
    run(base, 8, 20)


@pytest.mark.nightly
def test_two_thousand_sequences_of_writes_are_followed(base: Path) -> None:
    run(base, 2_000, 40)
