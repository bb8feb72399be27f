"""The search page on a server that wants an API key: it asks for one, keeps it in its tab, sends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys

from lurcher.server.keys import key_hash
from tests.e2e.browsing import QUERY, Page, watched
from tests.e2e.page_replies import BAD_KEY, READ_KEY, TAKEN
from tests.e2e.page_stub import Stub
from tests.server.serving import Client, running, settings

READ, WRITE = "a-read-key", "a-write-key"
KEPT = "return [JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie]"


@pytest.fixture(scope="module")
def guarded_server(
    small_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A real server with a read key and a write key that takes feedback."""
    keys = {"read_keys": [key_hash(READ)], "write_keys": [key_hash(WRITE)]}
    log = tmp_path_factory.mktemp("keys") / "feedback.log"
    with running(settings(small_bundle, log_level="warning", feedback=log, **keys)) as client:
        yield client


@pytest.fixture
def guarded(driver: Chrome, guarded_server: Client) -> Iterator[Page]:
    """The page of that server, not opened yet, in a tab that knows no key."""
    yield from forgetful(Page(driver, guarded_server.url))


@pytest.fixture
def keyed(driver: Chrome, stub: Stub) -> Iterator[Page]:
    """The page on a stub that takes feedback and knows both keys, not opened yet."""
    stub.feedback, stub.keys, stub.write_keys = TAKEN, {READ, WRITE}, {WRITE}
    yield from forgetful(Page(driver, stub.url))


def forgetful(page: Page) -> Iterator[Page]:
    page.failures_wanted = True
    yield from watched(page)
    page.script("sessionStorage.clear()")


def give_key(page: Page, key: str) -> None:
    page.until(lambda: page.seen("#key-form"))
    page.until(lambda: page.focused() == "key")
    page.press(key, Keys.ENTER)


def answers(page: Page, place: int = 1) -> None:
    page.until(lambda: page.seen(".verdict"))
    page.hit(place).find_element("css selector", ".verdict button").click()


def said(page: Page) -> str:
    return page.text(".hit .verdict [role=status]")


def test_search_goes_on_where_it_was_once_a_key_is_given(guarded: Page) -> None:
    guarded.open(q=QUERY, k=5)
    assert guarded.all(".hit") == []
    assert not guarded.seen("#failure")
    guarded.until(lambda: guarded.seen("#key-form"))
    assert guarded.text("#key-wrong") == ""
    give_key(guarded, "wrong")
    guarded.until(lambda: guarded.text("#key-wrong") == "this API key is not known here")
    give_key(guarded, READ)
    guarded.until(lambda: len(guarded.all(".hit")) == 5)
    assert not guarded.seen("#key-form")
    guarded.until(lambda: guarded.text("#bundle").startswith("small"))
    assert guarded.focused() == "query"


def test_key_that_may_only_search_is_asked_for_again_to_judge(
    guarded: Page, guarded_server: Client
) -> None:
    guarded.open(q=QUERY)
    give_key(guarded, READ)
    answers(guarded)
    guarded.until(lambda: said(guarded).startswith("this key may search"))
    assert guarded.text("#key-wrong") == said(guarded)
    give_key(guarded, WRITE)
    guarded.until(lambda: said(guarded) == "Noted.")
    assert guarded.focused() == "Undo"
    reply = guarded_server.get("/v1/feedback", X_API_Key=READ)
    assert reply.json()["pairs"] == 1


def test_key_is_kept_by_the_tab_and_nowhere_else(keyed: Page, stub: Stub) -> None:
    keyed.open()
    give_key(keyed, WRITE)
    keyed.until(lambda: "scifact" in keyed.text("#bundle"))
    keyed.ask(QUERY)
    assert keyed.seen("#results")
    session, local, cookies = keyed.script(KEPT)
    assert WRITE in session
    assert WRITE not in local + cookies + keyed.driver.current_url
    assert keyed.one("#key").get_property("value") == ""
    assert keyed.one("#key").get_attribute("type") == "password"
    stub.asked.clear()
    keyed.open(q=QUERY)
    assert keyed.seen("#results")
    keyed.until(lambda: len(stub.asked) == 4)  # the bundle, the collections, the search, the facets
    assert {asked.key for asked in stub.asked} == {WRITE}
    assert not keyed.seen("#key-form")


def test_late_refusal_of_what_was_asked_without_a_key_takes_none_back(
    keyed: Page, stub: Stub
) -> None:
    stub.held = "/v1/bundle"
    keyed.open(q=QUERY)
    give_key(keyed, WRITE)
    keyed.until(lambda: keyed.seen("#results"))
    stub.slow.set()
    keyed.until(lambda: keyed.seen(".verdict"))
    assert not keyed.seen("#key-form")
    assert WRITE in keyed.script(KEPT)[0]
    assert [asked.key for asked in stub.of("GET", "/v1/bundle")] == [None, WRITE]


def test_key_that_is_not_known_any_more_is_forgotten_and_asked_for(keyed: Page, stub: Stub) -> None:
    keyed.open(q=QUERY)
    give_key(keyed, READ)
    keyed.until(lambda: keyed.seen("#results"))
    stub.keys = {WRITE}
    keyed.ask("another")
    keyed.until(lambda: keyed.seen("#key-form"))
    assert keyed.text("#key-wrong") == BAD_KEY["detail"]
    assert READ not in keyed.script(KEPT)[0]
    assert not keyed.seen("#results")
    give_key(keyed, WRITE)
    keyed.until(lambda: keyed.seen("#results"))
    assert stub.searches[-1]["query"] == "another"


def test_only_judging_needs_a_key_where_there_are_write_keys_alone(keyed: Page, stub: Stub) -> None:
    stub.keys = set()
    keyed.open(q=QUERY)
    assert keyed.seen("#results")
    assert not keyed.seen("#key-form")
    answers(keyed)
    give_key(keyed, WRITE)
    keyed.until(lambda: said(keyed) == "Noted.")
    assert [given.key for given in stub.judgements] == [None, WRITE]
    assert len({given.idempotency_key for given in stub.judgements}) == 1


def test_who_has_no_key_to_judge_with_may_search_on(keyed: Page, stub: Stub) -> None:
    keyed.open(q=QUERY)
    give_key(keyed, READ)
    keyed.until(lambda: keyed.seen("#results"))
    answers(keyed)
    keyed.until(lambda: keyed.seen("#key-form"))
    assert keyed.text("#key-wrong") == READ_KEY["detail"]
    keyed.ask("another")
    assert keyed.seen("#results")
    assert not keyed.seen("#key-form")
    assert len(stub.judgements) == 1


@pytest.mark.parametrize("typed", ["", "two words", "schlüssel"])
def test_what_no_header_can_carry_is_not_sent(keyed: Page, stub: Stub, typed: str) -> None:
    keyed.open()
    keyed.until(lambda: len(stub.asked) == 1)
    give_key(keyed, typed)
    keyed.until(lambda: keyed.text("#key-wrong").startswith("A key is made of ASCII"))
    assert keyed.seen("#key-form")
    assert len(stub.asked) == 1


def test_no_key_is_asked_for_where_none_is_needed(page: Page) -> None:
    page.open(q=QUERY)
    page.until(lambda: page.text("#bundle"))
    assert not page.seen("#key-form")


def test_copied_command_has_a_place_for_the_key_but_not_the_key(keyed: Page, stub: Stub) -> None:
    keyed.open(q=QUERY)
    give_key(keyed, READ)
    keyed.until(lambda: keyed.seen("#results"))
    keyed.script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    keyed.one("#copy").click()
    keyed.until(lambda: keyed.seen("#curl"))
    command = str(keyed.one("#curl-text").get_property("value"))
    assert "-H 'Authorization: Bearer KEY'" in command
    assert READ not in command


def test_browser_that_keeps_nothing_asks_once_a_page(keyed: Page, stub: Stub) -> None:
    refuse = "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no') } })"
    added = keyed.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": refuse}
    )
    try:
        keyed.open(q=QUERY)
        give_key(keyed, READ)
        keyed.until(lambda: keyed.seen("#results"))
        keyed.ask("another")
        assert keyed.seen("#results")
    finally:
        keyed.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        keyed.open()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_field_can_be_read_and_fits_a_phone(keyed: Page, stub: Stub, scheme: str) -> None:
    keyed.width(360, 740)
    keyed.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    keyed.open(q=QUERY)
    give_key(keyed, "wrong")
    keyed.until(lambda: keyed.text("#key-wrong"))
    assert not keyed.overflows()
    texts = keyed.contrasts()
    assert BAD_KEY["detail"] in {text["text"] for text in texts}
    assert [text for text in texts if text["ratio"] < 4.5] == []
