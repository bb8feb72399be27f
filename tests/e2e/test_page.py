"""The search page in a real browser, on canned replies and on a real server over a small bundle.

The browser's console must stay empty: the server's policy lets the page's own script and style
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
from tests.e2e.page_stub import NO_VALUE, PAGE, policy


def test_page_is_one_small_file_that_the_policy_lets_through() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < 45_000
    assert policy(text).count("sha256-") == 2
    markup = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"\s(style|on\w+)=", markup)
    assert not re.search(r"(src|href)=\"(?!data:|\./)", markup)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


def test_start_shows_the_bundle_and_waits_in_the_query_box(
    page: Page, bundle: dict[str, Any]
) -> None:
    page.open()
    page.until(lambda: page.text("#bundle"))
    shown = page.text("#bundle")
    assert bundle["name"] in shown
    assert f"{bundle['passages']:,} passages" in shown
    assert bundle["encoder"]["name"] in shown
    assert page.focused() == "query"
    assert page.seen("#start")
    assert page.driver.title == "Lurcher"


def test_search_shows_hits_with_their_scores_and_the_time_by_stage(page: Page) -> None:
    page.open()
    page.ask(QUERY)
    found = page.all(".hit")
    assert len(found) == 10
    assert page.text("#status").startswith("10 passages in ")
    scores = [float(data.text) for data in page.all(".hit data")]
    assert scores == sorted(scores, reverse=True)
    assert all(part.text for part in page.all(".hit .text"))
    assert {"encode", "dense", "lexical", "fuse", "total"} <= set(
        re.findall(r"[a-z]{3,}", page.text("#legend"))
    )
    assert len(page.all("#stages span")) == len(page.all("#legend li")) - 1
    assert QUERY in page.driver.title


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


def test_keyboard_goes_through_the_hits_and_opens_them(page: Page) -> None:
    page.open(q=QUERY, k=5)
    names = [name.text for name in page.all(".hit .name")]
    page.press(Keys.ARROW_DOWN)
    assert page.focused() == names[0]
    page.press("j", Keys.ARROW_DOWN, "k")
    assert page.focused() == names[1]
    page.press(Keys.ENTER)
    assert [name.get_attribute("aria-expanded") for name in page.all(".name")][:2] == [
        "false",
        "true",
    ]
    page.press(Keys.ENTER)
    assert page.one(".hit:nth-child(2) .name").get_attribute("aria-expanded") == "false"
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
    page.open(q=QUERY, k=5)
    page.filter_by(json.dumps({"year": NO_VALUE}))
    assert page.text("#empty h2") == "No passage matches"
    assert "filter" in page.text("#empty-hint")
    assert page.text("#filter-toggle") == "Filter: on"
    page.one("#unfilter").click()
    page.until(lambda: page.seen("#results"))
    assert len(page.all(".hit")) == 5
    assert "filter" not in page.driver.current_url


def test_refused_field_is_explained_with_the_request_id(page: Page) -> None:
    page.failures_wanted = True
    page.open(q=QUERY, k=5)
    page.filter_by('{"colour": "red"}')
    assert page.seen("#failure")
    assert page.text("#failure-title")
    assert "filter.colour" in page.text("#failure")
    assert not page.seen("#retry")
    assert page.text("#request-id")
    assert "filter.colour" in page.text("#filter-wrong")
    assert page.one("#filter").get_attribute("aria-invalid") == "true"
    assert page.all(".hit") == []


@pytest.mark.nightly
def test_nothing_overflows_on_a_phone(page: Page) -> None:
    page.width(360, 740)
    for address in (
        {},
        {"q": QUERY},
        {"q": "long words"},
        {"q": QUERY, "filter": '{"year": 2015}'},
    ):
        page.failures_wanted = True  # another bundle may have no year
        page.open(**address)
        for name in page.all(".name"):
            name.click()
        assert page.script("return innerWidth") == 360
        assert not page.overflows(), address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wanted", ["", '{"colour": "red"}'])
def test_contrast_of_all_text_meets_wcag_aa(page: Page, scheme: str, wanted: str) -> None:
    page.failures_wanted = True
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.open(q=QUERY, filter=wanted)
    pairs = page.contrasts()
    assert len(pairs) > 10
    assert [pair for pair in pairs if pair["ratio"] < 4.5] == []
