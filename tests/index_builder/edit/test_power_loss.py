"""The power fails while a writer works: what it acknowledged is there, once, and the bundle opens."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Delete, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.encoders.encoder import Encoder
from tests.power import Moment, NotingDisk, after_failure
from tests.scratch import SCRATCH

POLICY = WritePolicy(passages=10**9, age=1e9, step=2)
State = dict[str, str]


def texts(bundle: Bundle) -> State:
    found = bundle.passages.get(bundle.passages.rows(()).tolist())
    assert len({one.id for one in found}) == len(found)
    return {one.id: one.text for one in found}


class Session:
    """A writer at work, and what it has acknowledged: what has to be there, and what may be instead."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self.path, self.encoder = path, encoder
        self.disk = NotingDisk(path, lambda: (self.sure, self.perhaps))
        self.writer = self.opened(path)
        self.sure = self.perhaps = texts(self.writer.bundle)
        self.writer.abandon()
        self.disk.begin()
        self.writer = self.opened(path, disk=self.disk)

    def opened(self, path: Path, **how: NotingDisk) -> Writer:
        return Writer.open(
            path, policy=POLICY, check_hashes=bool(not how), fail_point=self.disk.note if how else str,
            load_encoder=lambda bundle: PassageEncoder(bundle, self.encoder), **how,  # type: ignore[arg-type]  # a disk
        )  # fmt: skip

    def put(self, **documents: str) -> None:
        self.perhaps = self.sure | documents
        request = Upsert(tuple(Document(id_, text) for id_, text in documents.items()))
        self.writer.commit([request], self.acknowledged)

    def delete(self, *ids: str) -> None:
        self.perhaps = {id_: text for id_, text in self.sure.items() if id_ not in ids}
        self.writer.commit([Delete(ids)], self.acknowledged)

    def acknowledged(self, _: object) -> None:
        self.sure = self.perhaps

    def work(self) -> list[Moment]:
        """Everything that a writer does, some of it twice."""
        first = next(iter(self.sure))
        self.put(a="a fox", b="a hare")
        self.delete("a", first)
        self.writer.flush()
        self.put(b="another hare", c="an oboe")
        self.writer.flush()
        self.put(d="bread")
        self.writer.compact()
        self.delete("c")
        self.writer.flush()
        self.writer.compact(everything=True)
        self.put(a="the fox again")
        self.writer.close()
        self.writer = self.opened(self.path, disk=self.disk)
        self.delete("b")
        self.writer.recalibrate()
        self.put(c="an oboe again")
        self.writer.abandon()
        return self.disk.moments

    def check(self, path: Path, moment: Moment) -> None:
        """Whether the bundle at ``path`` has what was acknowledged, and can be used on."""
        sure, perhaps = moment.told
        writer = self.opened(path)
        try:
            found = texts(writer.bundle)
            assert found in (sure, perhaps), moment.doing
            writer.commit([Upsert((Document("z", "one more"),))])
            writer.flush()
        finally:
            writer.abandon()
        again = Bundle.open(path)
        try:
            assert texts(again) == found | {"z": "one more"}
        finally:
            again.close()


@pytest.fixture(scope="module")
def session(small_bundle: Path) -> Iterator[Session]:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        path = shutil.copytree(small_bundle, Path(folder) / "docs.lurcher")
        one = Session(path, Encoder.load(path / ENCODER, "passage", 1))
        one.work()
        yield one
        one.disk.close()


def replay(session: Session, moments: list[Moment], chances: list[float]) -> None:
    draw = random.Random(7)
    for moment in moments:
        for kept in chances:
            out = session.path.with_name("left")
            after_failure(moment, out, draw, kept)
            session.check(out, moment)
            shutil.rmtree(out)


def test_what_was_acknowledged_survives_a_power_failure(session: Session) -> None:
    moments = session.disk.moments
    assert len(moments) > 100
    replay(session, moments[3::41], [0.0])
    replay(session, moments[23::47], [0.5])


@pytest.mark.nightly
def test_the_power_may_fail_at_every_moment(session: Session) -> None:
    replay(session, session.disk.moments, [0.0, 1.0, 0.5, 0.5, 0.8, 0.2])
