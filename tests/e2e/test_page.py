"""The search page in a real browser, on canned replies and on a real server over a small bundle.

The browser's console must stay empty: the server's policy lets the page's own scripts and style
through and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver import Keys

from tests.e2e.browsing import QUERY, Page
from tests.e2e.page_replies import NO_VALUE


def test_start_shows_the_bundle_and_waits_in_the_query_box(
    page: Page, bundle: dict[str, Any]
) -> None:
    page.open()
    page.until(lambda: page.text("#bundle"))
    assert page.text("#bundle") == f"{bundle['name']} · {bundle['passages']:,} passages"
    assert f"Search {bundle['passages']:,} passages" in page.text("#start h2")
    assert bundle["encoder"]["name"] in page.text("#facts")
    assert page.focused() == "query"
    assert page.seen("#start")
    assert page.driver.title == "Lurcher"


def test_search_shows_hits_and_one_grey_line_with_the_stages_behind_the_time(page: Page) -> None:
    page.open()
    page.ask(QUERY)
    assert len(page.all(".hit")) == 10
    assert page.text("#status").startswith("10 passages")
    assert all(part.text for part in page.all(".hit .text"))
    assert re.fullmatch(r"[\d.,]+ ms", page.text("#time"))
    assert not page.seen("#timing")
    assert not re.search(r"\d\.\d{3}", page.text("#hits"))  # no score until one asks why
    page.one("#time").click()
    assert {"encode", "dense", "lexical", "fuse", "total"} <= set(
        re.findall(r"[a-z]{3,}", page.text("#legend"))
    )
    assert len(page.all("#stages span")) == len(page.all("#legend li")) - 1
    assert QUERY in page.driver.title


def test_debug_in_the_address_shows_scores_and_stages_at_once(page: Page) -> None:
    page.open(q=QUERY, debug="")
    assert page.seen("#timing")
    page.until(lambda: page.all(".hit .scores data"))
    assert len(page.all(".hit .scores")) == len(page.all(".hit"))


def test_link_searches_and_back_and_forward_go_through_the_searches(page: Page) -> None:
    page.open(q=QUERY, k=5)
    assert len(page.all(".hit")) == 5
    page.ask("second query")
    assert parse_qs(urlsplit(page.driver.current_url).query) == {"q": ["second query"], "k": ["5"]}
    page.driver.back()
    page.until(lambda: page.one("#query").get_property("value") == QUERY)
    page.settle()
    assert len(page.all(".hit")) == 5
    page.driver.forward()
    page.until(lambda: page.one("#query").get_property("value") == "second query")


def test_keyboard_goes_through_the_hits(page: Page) -> None:
    page.open(q=QUERY, k=5)
    names = [name.get_attribute("textContent") for name in page.all(".hit .name")]
    page.press(Keys.ARROW_DOWN)
    assert page.focused() == names[0]
    page.press("j", Keys.ARROW_DOWN, "k")
    assert page.focused() == names[1]
    page.press("k", "k")
    assert page.focused() == "query"
    page.press(Keys.ARROW_DOWN, "/")
    assert page.focused() == "query"
    assert page.one("#query").get_property("value") == QUERY


def test_escape_starts_afresh(page: Page) -> None:
    page.open(q=QUERY, k=5)
    page.press(Keys.ARROW_DOWN, Keys.ESCAPE)
    assert page.focused() == "query"
    assert page.one("#query").get_property("value") == ""
    assert page.seen("#start")
    assert not page.seen("#results")
    assert urlsplit(page.driver.current_url).query == ""
    page.driver.back()
    page.until(lambda: page.seen("#results"))


def test_filter_that_nothing_passes_says_so_and_can_be_dropped(page: Page) -> None:
    page.open(q=QUERY, k=5, filter=json.dumps({"year": NO_VALUE}))
    assert page.text("#empty h2") == "No passage matches"
    assert "filter" in page.text("#empty-hint")
    assert page.text("#filter button") == f"year: {NO_VALUE}\n×"
    page.one("#unfilter").click()
    page.until(lambda: page.seen("#results"))
    assert len(page.all(".hit")) == 5
    assert "filter" not in page.driver.current_url


def test_refused_field_is_explained_once_with_the_request_id(page: Page) -> None:
    page.failures_wanted = True
    page.open(q=QUERY, k=5, filter='{"colour": "red"}')
    assert page.seen("#failure")
    assert page.text("#failure-title")
    assert page.text("body").count("filter.colour") == 1
    assert page.text("body").count("no passage has this field") == 1
    assert not page.seen("#retry")
    assert page.text("#request-id")
    assert page.all(".hit") == []
    page.one("#drop").click()
    page.until(lambda: page.seen("#results"))
    assert not page.seen("#failure")


def open_all(page: Page) -> None:
    """Open what each hit has to open."""
    page.script("document.querySelectorAll('.more, .ask, #time').forEach((one) => one.click())")
    page.until(lambda: not page.all(".met[aria-busy]"))


@pytest.mark.nightly
@pytest.mark.parametrize("width", [320, 390, 820, 1100])
def test_nothing_overflows(page: Page, width: int) -> None:
    page.width(width, 740)
    for address in (
        {},
        {"q": QUERY},
        {"q": "long words"},
        {"q": QUERY, "filter": '{"year": 2015}'},
    ):
        page.failures_wanted = True  # another bundle may have no year
        page.open(**address)
        open_all(page)
        assert page.script("return innerWidth") == width
        assert not page.overflows(), address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wanted", ["", '{"colour": "red"}'])
def test_contrast_of_all_text_meets_wcag_aa(page: Page, scheme: str, wanted: str) -> None:
    page.failures_wanted = True
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.open(q=QUERY, filter=wanted)
    page.until(lambda: page.text("#bundle"))
    open_all(page)
    pairs = page.contrasts()
    assert len(pairs) > 8
    assert [pair for pair in pairs if pair["ratio"] < 4.5] == []
