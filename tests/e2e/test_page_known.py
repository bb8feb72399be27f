"""The search page on known queries: who asked for a hit before, and its scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_replies import ATTACK, LONG_WORD
from tests.e2e.page_stub import Stub
from tests.server.serving import running, settings
from tests.tickets import TICKET


@pytest.fixture(scope="module")
def known_url(ticket_bundle: Path) -> Iterator[str]:
    """Where a server listens whose passages answer tickets."""
    with running(settings(ticket_bundle, log_level="warning")) as client:
        yield client.url


@pytest.fixture
def known(driver: Chrome, known_url: str) -> Iterator[Page]:
    """The page of a real server with known queries, not opened yet."""
    yield from watched(Page(driver, known_url))


def test_known_query_is_named_where_one_asks_why(known: Page) -> None:
    known.open(q=TICKET.format(17 * 7919), k=5)
    assert known.all(".asked") == []
    names = known.scores()
    assert names == ["dense", "lexical", "neighbours", "fused", "maxsim", "rank"]
    line = known.text(".asked li")
    assert line.startswith(f"{TICKET.format(17 * 7919)} ")
    assert line.endswith(" %")


def test_nothing_is_said_where_there_are_no_known_queries(page: Page) -> None:
    page.open(q=QUERY)
    assert len(page.all(".hit")) == 10
    assert page.scores() == ["dense", "lexical", "fused", "maxsim", "rank"]
    assert page.all(".asked") == []


def test_three_known_queries_at_most_each_with_its_share(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="known")
    assert stubbed.scores() == ["dense", "neighbours", "fused"]
    shown = [f"{ATTACK} 62 %", f"{LONG_WORD} 25 %", "asked once under 1 %"]
    assert [line.text for line in stubbed.all(".asked li")] == shown
    assert stubbed.all("main img, main script") == []
    assert stubbed.script("return window.pwned === undefined")
    assert not stubbed.overflows()
    stubbed.scores(2)
    assert len(stubbed.all(".asked")) == 1  # the second has scores, but nobody spoke for it
