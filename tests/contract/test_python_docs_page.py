"""docs/python.md: its examples run, and it lists what can be called and passed."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path

import pytest

import lurcher
from lurcher.collection import Collection, SearchOptions
from tests.contract.page_examples import run_examples
from tests.server.serving import running, settings

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_examples_run_from_top_to_bottom(
    answering_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(answering_bundle, tmp_path / "docs.lurcher")  # it is written
    monkeypatch.chdir(tmp_path)
    with running(settings(answering_bundle)) as server:
        names, printed = run_examples(PAGE, capsys, {"http://localhost:8080": server.url})
    assert all(printed)
    assert len(printed) > 5
    # What the comments beside the calls promise.
    assert list(names["best"].scores) == ["dense", "lexical", "fused", "maxsim", "rank"]
    assert printed[-1].startswith("filter.colour: no passage has this field; there are: ")


@pytest.mark.parametrize("name", [n for n in vars(Collection) if not n.startswith("_")])
def test_method_is_documented(page: str, name: str) -> None:
    assert re.search(rf"\b\w+\.{name}\b|`{name}`", page)


@pytest.mark.parametrize("name", [n for n in vars(lurcher.Client) if not n.startswith("_")])
def test_method_of_a_client_is_documented(page: str, name: str) -> None:
    assert re.search(rf"\bserver\.{name}\b|`{name}[`(]|\.{name}\(", page)
    assert name in vars(lurcher.AsyncClient)


@pytest.mark.parametrize("name", SearchOptions.__annotations__)
def test_search_option_is_documented(page: str, name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [n for n in inspect.signature(Collection.search).parameters if n not in ("self", "options")],
)
def test_argument_of_search_is_documented(page: str, name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE)


def test_page_names_only_what_the_package_exports(page: str) -> None:
    named = set(re.findall(r"\blurcher\.([A-Za-z]+)", page)) - {"errors"}  # a module
    assert named
    assert named <= set(lurcher.__all__)
