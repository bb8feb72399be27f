"""``/docs`` in a real browser: every route and field, and nothing from another host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browsing import Page, watched


@pytest.fixture
def reference(driver: Chrome, live_url: str) -> Iterator[Page]:
    """``/docs`` of a real server, opened and filled."""
    page = Page(driver, live_url)
    for _ in watched(page):
        driver.get(f"{live_url}/docs")
        page.until(lambda: page.one("#routes").get_attribute("aria-busy") == "false")
        yield page


def test_every_route_is_shown_with_its_replies(reference: Page, live_url: str) -> None:
    with urlopen(f"{live_url}/openapi.json") as reply:  # noqa: S310 (the fixture's own address)
        document = json.load(reply)
    shown = [route.text for route in reference.all(".route summary")]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            (line,) = [s for s in shown if s.startswith(f"{method.upper()} {path} ")]
            assert " ".join(operation["description"].split()) in line
    assert len(shown) == sum(map(len, document["paths"].values()))
    reference.one(".route summary").click()
    assert {"200", "422", "429", "504"} <= {
        code.text for code in reference.all(".route[open] dt code")
    }


def test_every_field_is_shown(reference: Page) -> None:
    reference.script(
        "document.querySelectorAll('#shapes details').forEach((d) => { d.open = true; })"
    )
    shown = reference.text("#shape-SearchRequest")
    for words in (
        "query",
        "required",
        "top_k",
        "default 10",
        "at most 1000",
        "timeout_ms",
        "filter",
    ):
        assert words in shown
    assert "request_id" in reference.text("#shape-Problem")


def test_request_can_be_tried(reference: Page) -> None:
    reference.one(".route summary").click()
    reference.one(".route[open] button").click()
    reference.until(lambda: reference.seen(".route[open] pre"))
    status, _, body = reference.text(".route[open] pre").partition("\n")
    assert status == "200"
    assert len(json.loads(body)["hits"]) == 10


def test_nothing_comes_from_another_host(reference: Page, live_url: str) -> None:
    loaded = reference.script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert f"{live_url}/openapi.json" in loaded
    hosts = {urlsplit(name).netloc for name in loaded if not name.startswith("data:")}
    assert hosts == {urlsplit(live_url).netloc}
