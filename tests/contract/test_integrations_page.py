"""docs/integrations.md: its examples run from top to bottom, with the frameworks as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contract.page_examples import run_examples

for module, extra in (
    ("langchain_core", "langchain"),
    ("llama_index.core", "llama-index"),
    ("httpx", "client"),
):
    pytest.importorskip(module, reason=f"the extra [{extra}] is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


def test_examples_run_from_top_to_bottom(
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "false")  # before it is imported
    pytest.importorskip("haystack", reason="the extra [haystack] is not installed")
    (tmp_path / "docs.lurcher").symlink_to(small_bundle)
    monkeypatch.chdir(tmp_path)
    _, printed = run_examples(PAGE, capsys)
    rag, site, llama, haystack = printed
    assert re.search(r"^\[1\] en-food-\d, characters 0 to \d+ $", rag, re.MULTILINE)
    assert re.search(r'<li><a href="en-food-\d">food \d</a> Bread rises', site)
    assert len(llama.splitlines()) == 4
    assert haystack.count("en-") == 3


def test_page_says_how_to_install_each_module() -> None:
    page = PAGE.read_text(encoding="utf-8")
    folder = PAGE.parents[1] / "lurcher" / "integrations"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "calls"}
    assert modules == set(re.findall(r"`lurcher\.integrations\.(\w+)` \|", page))
    for module in modules:
        assert f"lurcher[{module.replace('_', '-')}]" in page
