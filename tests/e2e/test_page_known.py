"""The search page on known queries: who asked for a hit before, and its scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_stub import ATTACK, LONG_WORD, Stub
from tests.server.serving import running, settings
from tests.tickets import TICKET

ASKED, STAGES = ".hit:nth-child({}) .asked", ".hit:nth-child({}) .chips .stage"


@pytest.fixture(scope="module")
def known_url(ticket_bundle: Path) -> Iterator[str]:
    """Where a server listens whose passages answer tickets."""
    with running(settings(ticket_bundle, log_level="warning")) as client:
        yield client.url


@pytest.fixture
def known(driver: Chrome, known_url: str) -> Iterator[Page]:
    """The page of a real server with known queries, not opened yet."""
    yield from watched(Page(driver, known_url))


def test_known_query_is_named_below_the_hit_that_it_spoke_for(known: Page) -> None:
    known.open(q=TICKET.format(17 * 7919), k=5)
    line = known.text(ASKED.format(1))
    assert line.startswith(f"asked before: {TICKET.format(17 * 7919)} (")
    assert line.endswith(" %)")
    assert known.all(STAGES.format(1))
    assert not known.seen(STAGES.format(1))
    known.one(".name").click()
    names = [chip.text.split()[0] for chip in known.all(STAGES.format(1))]
    assert names == ["dense", "lexical", "neighbours", "fused", "maxsim", "rank"]


def test_nothing_is_said_where_there_are_no_known_queries(page: Page) -> None:
    page.open(q=QUERY)
    assert len(page.all(".hit")) == 10
    assert not any(line.is_displayed() for line in page.all(".asked"))
    assert not any(verdict.is_displayed() for verdict in page.all(".verdict"))
    page.one(".name").click()
    assert [chip.text.split()[0] for chip in page.all(STAGES.format(1))] == [
        "dense",
        "lexical",
        "fused",
        "maxsim",
        "rank",
    ]


def test_three_known_queries_at_most_each_with_its_share(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="known")
    stubbed.one(".name").click()
    shown = [f"{ATTACK} (62 %)", f"{LONG_WORD} (25 %)", "asked once (under 1 %)"]
    assert stubbed.text(ASKED.format(1)) == "asked before: " + " · ".join(shown)
    assert stubbed.all("main img, main script") == []
    assert stubbed.script("return window.pwned === undefined")
    chips = [chip.text for chip in stubbed.all(STAGES.format(1))]
    assert chips == ["dense 0.1000", "neighbours 0.9000", "fused 0.8000"]
    assert not stubbed.seen(ASKED.format(2))  # it has scores, but nobody spoke for it


def test_long_known_query_is_cut_until_the_hit_is_opened(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="known")
    height = f"return document.querySelector('{ASKED.format(1)} span:nth-of-type(2)').offsetHeight"
    closed = stubbed.script(height)
    stubbed.one(".name").click()
    assert stubbed.script(height) > 1.5 * closed
