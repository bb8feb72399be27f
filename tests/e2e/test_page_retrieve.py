"""The search page's choice of what finds passages: meaning, words or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.select import Select

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_stub import Stub
from tests.server.serving import running, settings


def choose(page: Page, value: str) -> None:
    page.until(lambda: page.text("#bundle"))
    if not page.seen("#options"):
        page.one("#options-toggle").click()
    Select(page.one("#retrieve")).select_by_value(value)
    page.settle()


def legend(page: Page) -> list[str]:
    if not page.seen("#timing"):
        page.one("#time").click()
    return [line.text.split()[0] for line in page.all("#legend li")]


def test_choice_searches_again(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    for value in ("lexical", "dense", ""):
        choose(stubbed, value)
    assert [asked.get("retrieve") for asked in stub.searches] == [None, "lexical", "dense", None]


def test_choice_is_kept_in_the_address_and_shown_in_the_stages(page: Page) -> None:
    page.open(q="the cat sleeps")
    assert [one for one in legend(page) if "retrieve" in one] == [
        "retrieve_dense",
        "retrieve_lexical",
    ]
    choose(page, "lexical")
    assert "retrieve=lexical" in page.driver.current_url
    assert [one for one in legend(page) if "retrieve" in one] == ["retrieve_lexical"]
    page.open(q="the cat sleeps", retrieve="dense")
    page.until(lambda: page.seen("#retrieve"))
    assert page.one("#retrieve").get_attribute("value") == "dense"
    assert [one for one in legend(page) if "retrieve" in one] == ["retrieve_dense"]


@pytest.fixture
def wordless(driver: Chrome, build_once: Callable[..., Path]) -> Iterator[Page]:
    """The page of a real server whose bundle has no lexical index."""
    bundle = build_once("wordless", seed=1, lexical=None)
    with running(settings(bundle, log_level="warning")) as client:
        yield from watched(Page(driver, client.url))


def test_no_choice_where_there_is_no_lexical_index(wordless: Page) -> None:
    wordless.open(q=QUERY, debug="")
    wordless.until(lambda: "wordless" in wordless.text("#bundle"))
    assert wordless.seen("#rank")
    assert not wordless.seen("#retrieve")
