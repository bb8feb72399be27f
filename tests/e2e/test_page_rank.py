"""The search page's switch between the ranked order and that of the first stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_stub import Stub
from tests.server.serving import running, settings

STAGES = ".hit:nth-child(1) .chips .stage"


@pytest.fixture
def tokenless(driver: Chrome, tokenless_bundle: Path) -> Iterator[Page]:
    """The page of a real server whose bundle has nothing to rank by."""
    with running(settings(tokenless_bundle, log_level="warning")) as client:
        yield from watched(Page(driver, client.url))


def pressed(page: Page) -> bool:
    page.until(lambda: page.seen("#rank"))
    return page.one("#rank").get_attribute("aria-pressed") == "true"


def scores(page: Page) -> list[str]:
    page.one(".name").click()
    return [chip.text.split()[0] for chip in page.all(STAGES)]


def test_switch_searches_again_without_ranking_and_back(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    assert pressed(stubbed)
    for wanted in (False, True):
        stubbed.one("#rank").click()
        stubbed.settle()
        assert pressed(stubbed) is wanted
    assert [asked.get("rank") for asked in stub.searches] == [None, "off", None]


def test_switch_is_kept_in_the_address(page: Page) -> None:
    page.open(q=QUERY)
    assert scores(page) == ["dense", "lexical", "fused", "maxsim", "rank"]
    page.one("#rank").click()
    page.settle()
    assert "rank=off" in page.driver.current_url
    page.open(q=QUERY, rank="off")
    assert not pressed(page)
    page.one("#rank").click()
    page.settle()
    assert pressed(page)
    assert "rank" not in page.driver.current_url
    page.driver.back()
    page.until(lambda: not pressed(page))


def test_unranked_hits_have_the_first_stages_scores(driver: Chrome, live_url: str) -> None:
    for page in watched(Page(driver, live_url)):
        page.open(q=QUERY, rank="off")
        assert scores(page) == ["dense", "lexical", "fused"]


def test_no_switch_where_nothing_can_be_ranked(tokenless: Page) -> None:
    tokenless.open(q=QUERY)
    tokenless.until(lambda: "tokenless" in tokenless.text("#bundle"))
    assert not tokenless.seen("#rank")
    assert scores(tokenless) == ["dense", "lexical", "fused"]
