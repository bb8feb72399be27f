"""The search page's "This answers it": where feedback is taken, once a pair, and again after a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_replies import NORMAL, OFF, TAKEN
from tests.e2e.page_stub import Stub
from tests.server.serving import Client, running, settings

BUTTON = ".verdict button"
FULL: dict[str, Any] = {
    "title": "No room",
    "status": 507,
    "detail": "feedback_pairs: 8 pairs are known already",
}


@pytest.fixture
def learning(small_bundle: Path, tmp_path: Path) -> Iterator[Client]:
    """A real server that takes feedback."""
    wanted = settings(small_bundle, log_level="warning", feedback=tmp_path / "feedback.log")
    with running(wanted) as client:
        yield client


@pytest.fixture
def taught(driver: Chrome, learning: Client) -> Iterator[Page]:
    """The page of a server that takes feedback, not opened yet."""
    yield from watched(Page(driver, learning.url))


@pytest.fixture
def offered(stubbed: Page, stub: Stub) -> Page:
    """The page with the hits of a search, on a stub that takes feedback."""
    stub.feedback = TAKEN
    stubbed.open(q=QUERY)
    stubbed.until(lambda: stubbed.seen(".verdict"))
    return stubbed


def button(page: Page, place: int) -> WebElement:
    return page.hit(place).find_element("css selector", BUTTON)


def press(page: Page, place: int, answer: str) -> None:
    button(page, place).click()
    page.until(lambda: said(page, place) == answer)


def said(page: Page, place: int) -> str:
    return page.hit(place).find_element("css selector", ".verdict [role=status]").text


def passage(page: Page, place: int) -> str:
    return str(page.hit(place).get_attribute("data-passage"))


def test_judged_passage_comes_first_for_whoever_asks_again(taught: Page, learning: Client) -> None:
    taught.open(q="my pet snores", k=5)
    taught.until(lambda: taught.seen(".verdict"))
    fifth = passage(taught, 5)
    press(taught, 5, "Noted.")
    assert learning.get("/v1/feedback").json()["pairs"] == 1
    taught.ask("my pet snores")
    assert passage(taught, 1) == fifth
    taught.scores()
    assert taught.text(".asked") == "my pet snores 100 %"
    taught.until(lambda: said(taught, 1) == "Noted.")
    assert learning.get("/v1/feedback").json()["judgements"] == 1
    press(taught, 1, "Taken back.")
    assert learning.get("/v1/feedback").json()["pairs"] == 0
    press(taught, 1, "Noted.")  # it may be said again
    assert learning.get("/v1/feedback").json()["pairs"] == 1


def test_no_button_where_feedback_is_off(page: Page) -> None:
    page.open(q=QUERY)
    page.ask("another")
    page.until(lambda: page.text("#bundle"))
    assert page.all(".verdict") == []


def test_whether_it_is_on_is_asked_once_and_of_the_bundle(stubbed: Page, stub: Stub) -> None:
    """Not of the route for feedback, where each page would leave a 403 in the log."""
    for answer in (None, TAKEN):
        stub.feedback = answer
        stub.asked.clear()
        stubbed.open(q=QUERY)
        stubbed.until(lambda: stub.of("GET", "/v1/bundle"))
        stubbed.ask("another")
        stubbed.until(lambda: stub.of("GET", "/v1/collections"))
        gets = [asked.path for asked in stub.asked if asked.method == "GET"]
        asked = [path for path in gets if not path.startswith("/v1/facets")]
        assert asked == ["/v1/bundle", "/v1/collections"]


def test_the_query_as_asked_and_the_passage_are_sent_once(offered: Page, stub: Stub) -> None:
    offered.ask("slow", wait=False)
    offered.script("document.getElementById('query').value += ' and what was typed since'")
    stub.slow.set()
    offered.settle()
    press(offered, 2, "Noted.")
    (given,) = stub.judgements
    assert given.body == {"pairs": [{"query": "slow", "passage": "27"}], "bundle": "scifact"}
    assert said(offered, 1) == ""


def test_it_can_be_taken_back_by_its_key(offered: Page, stub: Stub) -> None:
    press(offered, 2, "Noted.")
    assert button(offered, 2).text == "Undo"
    press(offered, 2, "Taken back.")
    assert button(offered, 2).text == "This answers it"
    press(offered, 2, "Noted.")
    first, second = stub.judgements
    assert stub.of("DELETE", f"/v1/feedback?keys={first.idempotency_key}")
    assert second.idempotency_key != first.idempotency_key


def test_each_pair_has_a_key_of_its_own_on_each_page(offered: Page, stub: Stub) -> None:
    for query in (QUERY, "¿qué? " * 100):
        offered.ask(query)
        for place in (1, 2):
            press(offered, place, "Noted.")
    offered.open(q=QUERY)
    offered.until(lambda: offered.seen(".verdict"))
    press(offered, 1, "Noted.")
    keys = [given.idempotency_key or "" for given in stub.judgements]
    assert len(set(keys)) == len(keys) == 5
    assert all(key.isascii() and key.isprintable() and 20 < len(key) <= 200 for key in keys)


def test_what_was_noted_stays_noted_when_it_is_found_again(offered: Page, stub: Stub) -> None:
    press(offered, 1, "Noted.")
    offered.ask("another")
    assert said(offered, 1) == ""
    offered.ask(QUERY)
    offered.until(lambda: said(offered, 1) == "Noted.")
    assert len(stub.judgements) == 1


def test_fault_is_shown_and_said_again_under_the_same_key(offered: Page, stub: Stub) -> None:
    offered.failures_wanted = True
    stub.feedback = FULL
    press(offered, 1, FULL["detail"])
    assert button(offered, 1).get_attribute("aria-disabled") == "false"
    stub.feedback = {**TAKEN, "accepted": 0, "refused": [{"reason": "no passage has this id"}]}
    press(offered, 1, "no passage has this id")
    stub.feedback = TAKEN
    press(offered, 1, "Noted.")
    assert len({given.idempotency_key for given in stub.judgements}) == 1
    assert len(stub.judgements) == 3


def test_silent_server_and_feedback_turned_off_since_say_so(offered: Page, stub: Stub) -> None:
    offered.failures_wanted = True
    stub.feedback = None
    press(offered, 1, OFF["detail"])
    assert not offered.seen("#key-form")
    stub.up = False
    press(offered, 1, "It may be down or restarting.")


def test_keyboard_reaches_the_button_and_stays_there(offered: Page, stub: Stub) -> None:
    offered.press(Keys.ARROW_DOWN, Keys.TAB, Keys.TAB)  # past "Why?"
    pressed = offered.driver.switch_to.active_element
    assert pressed.get_attribute("aria-label") == f"This answers it: {NORMAL[0]['title']}"
    offered.press(Keys.ENTER)
    offered.until(lambda: said(offered, 1) == "Noted.")
    assert offered.driver.switch_to.active_element == pressed
    assert pressed.get_attribute("aria-label") == f"Undo: {NORMAL[0]['title']} answers it"
    offered.press("j")
    assert offered.focused() == NORMAL[1]["title"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_fits_a_phone(stubbed: Page, stub: Stub, scheme: str) -> None:
    stubbed.failures_wanted = True
    stub.feedback = TAKEN
    stubbed.width(360, 740)
    stubbed.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    stubbed.open(q="known")
    stubbed.until(lambda: stubbed.seen(".verdict"))
    press(stubbed, 1, "Noted.")
    stub.feedback = FULL
    press(stubbed, 2, FULL["detail"])
    assert not stubbed.overflows()
    stubbed.scores()
    assert not stubbed.overflows()
    texts = stubbed.contrasts()
    assert {"Noted.", FULL["detail"][:40], "This answers it"} <= {text["text"] for text in texts}
    assert [text for text in texts if text["ratio"] < 4.5] == []
