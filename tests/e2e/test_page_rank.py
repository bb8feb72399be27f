"""The search page's switch between the ranked order and that of the first stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.select import Select

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_stub import Stub
from tests.server.serving import running, settings


@pytest.fixture
def tokenless(driver: Chrome, tokenless_bundle: Path) -> Iterator[Page]:
    """The page of a real server whose bundle has nothing to rank by."""
    with running(settings(tokenless_bundle, log_level="warning")) as client:
        yield from watched(Page(driver, client.url))


def choose(page: Page, value: str) -> None:
    page.until(lambda: page.text("#bundle"))
    if not page.seen("#options"):
        page.one("#options-toggle").click()
    Select(page.one("#rank")).select_by_value(value)
    page.settle()


def test_switch_searches_again_without_ranking_and_back(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    for value in ("off", ""):
        choose(stubbed, value)
    assert [asked.get("rank") for asked in stub.searches] == [None, "off", None]


def test_switch_is_kept_in_the_address(page: Page) -> None:
    page.open(q=QUERY)
    assert page.scores() == ["dense", "lexical", "fused", "maxsim", "rank"]
    choose(page, "off")
    assert "rank=off" in page.driver.current_url
    page.open(q=QUERY, rank="off")
    page.until(lambda: page.seen("#rank"))  # what is not as ever is in sight
    assert page.one("#rank").get_attribute("value") == "off"
    choose(page, "")
    assert "rank" not in page.driver.current_url
    page.driver.back()
    page.until(lambda: page.one("#rank").get_attribute("value") == "off")


def test_unranked_hits_have_the_first_stages_scores(driver: Chrome, live_url: str) -> None:
    for page in watched(Page(driver, live_url)):
        page.open(q=QUERY, rank="off")
        assert page.scores() == ["dense", "lexical", "fused"]
        assert page.all(".met") == []  # words are compared where tokens rank


def test_no_switch_where_nothing_can_be_ranked(tokenless: Page) -> None:
    tokenless.open(q=QUERY, debug="")
    tokenless.until(lambda: "tokenless" in tokenless.text("#bundle"))
    assert tokenless.seen("#retrieve")
    assert not tokenless.seen("#rank")
    assert tokenless.scores() == ["dense", "lexical", "fused"]
