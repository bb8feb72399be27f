"""What each worker of a server gets of what there is, and settings that contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.settings import Settings, load_settings
from lurcher.server.workers.link import Link
from lurcher.server.workers.setup import Setup, Told, share_of


def of(**given: object) -> Settings:
    return load_settings(None, {"bundle": Path("docs.lurcher"), **given})


def test_threads_and_connections_are_divided() -> None:
    settings = of(workers=3, threads=8, max_connections=100, max_top_k=7)
    shares = [share_of(settings, number) for number in range(3)]
    assert [one.threads for one in shares] == [3, 3, 2]
    assert [one.max_connections for one in shares] == [34, 33, 33]
    assert {one.max_top_k for one in shares} == {7}
    assert share_of(settings, 1, "native").engine == "native"


def test_a_worker_gets_the_settings_as_they_are(tmp_path: Path) -> None:
    settings = share_of(of(workers=2, threads=2, feedback=tmp_path / "f.log", writable=True), 1)
    line = Setup(1, 2, settings.model_dump(mode="json"), [3], 4, str(tmp_path), True).line()
    setup = Setup.of(line)
    assert line.count("\n") == 1
    assert (setup.own_settings, setup.link) == (settings, Link(1, 2, tmp_path))
    assert Told.of(Told("no\nroom").line()) == Told("no\nroom")


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"workers": 4, "threads": 2}, "workers", "threads is 2"),
        ({"workers": 2, "writable": True, "follow_ms": 0}, "follow_ms", "0 with writable"),
        ({"workers": 2, "feedback": "f.log", "follow_ms": 0}, "follow_ms", "0 with feedback"),
        ({"workers": 0}, "workers", "greater than or equal to 1"),
    ],
)
def test_settings_that_contradict_each_other_name_both(
    given: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(FieldError) as caught:
        of(**given)
    assert caught.value.field == field
    assert said in caught.value.reason
