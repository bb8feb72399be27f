"""docs/protocols.md: its examples run against a server, each by a client as it is."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import Client, running, settings

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
EXAMPLES = re.findall(
    r"^## (.*?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S
)


@pytest.fixture(scope="module")
def spoken(answering_bundle: Path) -> Iterator[Client]:
    with running(settings(answering_bundle)) as client:
        yield client


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_example_runs(
    spoken: Client, title: str, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here = example.replace("http://localhost:8080", spoken.url).replace("all-MiniLM-L6-v2", "tiny")
    names: dict[str, Any] = {}
    exec(compile(here, f"{PAGE}: {title}", "exec"), names)  # noqa: S102 (our own page)
    assert capsys.readouterr().out
    names.clear()
    gc.collect()  # here, where it is expected that a client which nobody closes leaves a socket open
