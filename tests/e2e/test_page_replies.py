"""The search page on replies that a healthy server gives seldom or never."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.e2e.browsing import PATIENCE, QUERY, Page
from tests.e2e.page_replies import ATTACK, BEST, HITS, LONG, NORMAL, SHOWN_ATTACK
from tests.e2e.page_stub import Stub


def test_request_asks_for_what_the_page_shows(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=f"  {QUERY} ", k=20, filter='{"year": {"gte": 2000}}')
    assert stub.searches == [
        {
            "query": QUERY,
            "top_k": 20,
            "filter": {"year": {"gte": 2000}},
            "fold": True,
            "include": ["text", "scores", "highlights", "metadata", "contributing_neighbours"],
        }
    ]


def test_best_sentence_is_marked_in_short_and_long_texts(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    assert [mark.text for mark in stubbed.all("mark")] == [BEST, BEST]
    assert stubbed.text(".hit .text") == NORMAL[0]["text"]
    assert len(stubbed.all(".more")) == 1  # of the long one
    long = stubbed.hit(2).find_element("css selector", ".text")
    assert long.text.startswith("… ")
    assert long.text.endswith(" …")
    assert long.text.strip("… ") in LONG
    stubbed.one(".more").click()
    assert long.text == LONG
    assert stubbed.text(".more") == "Show less"
    assert stubbed.one(".more").get_attribute("aria-expanded") == "true"


def test_highlights_count_code_points(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="emoji")
    assert stubbed.text("mark") == "Best one é🎯."
    assert stubbed.text(".text") == HITS["emoji"][0]["text"]


def test_markup_in_a_passage_stays_text(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="attack")
    stubbed.scores()
    assert stubbed.text(".name") == SHOWN_ATTACK
    assert stubbed.text(".text") == stubbed.text("mark") == ATTACK
    assert stubbed.text(".why dd > code") == ATTACK
    assert stubbed.text(".metadata li") == f"{ATTACK} {ATTACK}"
    assert stubbed.all("main img, main script") == []
    assert stubbed.script("return window.pwned === undefined")


def test_policy_is_in_force(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    for attack in (
        "const made = document.createElement('script');"
        "made.text = 'window.pwned = 1'; document.body.append(made)",
        "document.body.innerHTML = '<img src=x onerror=window.pwned=1>'",
    ):
        stubbed.script(f"try {{ {attack} }} catch {{ window.refused = true }}")
    assert stubbed.script("return window.pwned === undefined && window.refused")
    refusals = " ".join(stubbed.complaints())
    assert "TrustedScript" in refusals
    assert "TrustedHTML" in refusals


def test_passage_without_title_is_called_by_its_id(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="no title")
    assert stubbed.text(".name") == "4983"


def test_truncated_and_degraded_replies_say_so(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="late")
    first, second = (note.text for note in stubbed.all("#notes li"))
    assert "longer than the encoder reads" in first
    assert "rank" in second
    stubbed.ask(QUERY)
    assert stubbed.all("#notes li") == []


def test_silent_server_can_be_tried_again(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stub.up = False
    stubbed.open(q=QUERY)
    assert stubbed.text("#failure-title") == "The server does not answer"
    assert stubbed.text("#failure-detail") == "It may be down or restarting."
    assert not stubbed.seen("#request-line")
    stub.up = True
    stubbed.one("#retry").click()
    stubbed.until(lambda: stubbed.seen("#results"))
    assert not stubbed.seen("#failure")


def test_being_offline_is_said_and_searched_again_when_it_ends(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open()
    connection = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    stubbed.driver.execute_cdp_cmd("Network.enable", {})
    try:
        stubbed.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {"offline": True, **connection}
        )
        stubbed.ask(QUERY)
        assert stubbed.text("#failure-detail") == "This device is offline."
    finally:
        stubbed.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {"offline": False, **connection}
        )
    stubbed.until(lambda: stubbed.seen("#results"))


def test_reply_that_is_no_json_shows_its_status(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q="proxy")
    assert "502" in stubbed.text("#failure-detail")
    assert stubbed.text("#request-id") == "req-7"
    assert stubbed.seen("#retry")


def test_each_field_at_fault_has_its_reason_once(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q="many faults")
    lines = stubbed.text("#reasons").splitlines()
    assert lines == ["query is too long", "filter.year is no number"]
    assert stubbed.text("#failure-detail") == ""
    assert stubbed.seen("#drop")


def test_new_search_cancels_the_one_under_way(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY, k=5)
    stubbed.ask("slow", wait=False)
    stubbed.until(lambda: len(stub.searches) == 2)
    assert stubbed.one("main").get_attribute("aria-busy") == "true"
    assert stubbed.text("#status") == "Searching…"
    assert not stubbed.seen("#time")
    assert len(stubbed.all(".hit")) == 5  # the page does not jump while it waits
    stubbed.ask("emoji")
    assert stub.hung_up.wait(PATIENCE)
    assert stubbed.text("mark") == "Best one é🎯."
    assert stubbed.one("main").get_attribute("aria-busy") == "false"


def test_what_is_typed_is_searched_for_once_it_rests(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    length = stubbed.script("return history.length")
    stubbed.one("#query").send_keys("half a que")
    stubbed.until(lambda: stubbed.seen("#results"))
    stubbed.one("#query").send_keys("ry")
    stubbed.until(lambda: stub.searches[-1]["query"] == "half a query")
    stubbed.settle()
    assert "q=half+a+query" in stubbed.driver.current_url
    sent = len(stub.searches)
    assert sent < len("half a query")
    stubbed.press("\ue007")  # Enter: what is shown already is not asked for again
    stubbed.settle()
    assert len(stub.searches) == sent
    assert stubbed.script("return history.length") == length  # the start gave way to what was typed


def test_copied_curl_command_asks_the_same(stubbed: Page, stub: Stub) -> None:
    stubbed.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    stubbed.open(q="Bell's palsy", filter='{"year": 2015}')
    stubbed.one("#copy").click()
    stubbed.until(lambda: stubbed.text("#copy") == "Copied")
    words = shlex.split(stubbed.script("return navigator.clipboard.readText()"))
    assert words[:3] == ["curl", "-sS", f"{stub.url}/v1/search"]
    assert json.loads(words[words.index("-d") + 1]) == stub.searches[0]


def test_curl_command_is_shown_where_there_is_no_clipboard(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    stubbed.script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    stubbed.one("#copy").click()
    stubbed.until(lambda: stubbed.seen("#curl"))
    assert str(stubbed.one("#curl-text").get_property("value")).startswith("curl -sS ")


def test_nothing_moves_where_less_motion_is_wanted(stubbed: Page, stub: Stub) -> None:
    moving = "return getComputedStyle(document.getElementById('column')).transitionProperty"
    for wanted, name in (("no-preference", "opacity"), ("reduce", "none")):
        stubbed.emulate(prefers_reduced_motion=wanted)
        stubbed.open(q=QUERY)
        assert stubbed.script(moving) == name


@pytest.mark.parametrize("wanted", ['{"year": ', "[1]", "3", "null"])
def test_filter_that_is_no_object_is_not_sent(stubbed: Page, stub: Stub, wanted: str) -> None:
    stubbed.open(q=QUERY, filter=wanted)
    assert stubbed.text("#failure-title") == "The filter in the address cannot be read"
    assert stubbed.text("#failure-detail")
    assert stub.searches == []
    stubbed.one("#drop").click()
    stubbed.until(lambda: stubbed.seen("#results"))
    assert "filter" not in stub.searches[0]
