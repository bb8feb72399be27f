"""The search page's answer above the hits, on canned replies and on a real server's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browsing import PATIENCE, QUERY, Page, watched
from tests.e2e.page_replies import ANSWER, ATTACK, NO_VALUE, SENTENCE, SHOWN_ATTACK
from tests.e2e.page_stub import Stub
from tests.server.pointing import Pointing, pointing
from tests.server.serving import running, settings


@pytest.fixture
def reading(stub: Stub) -> Stub:
    """The stub, with a reader in its bundle."""
    stub.reader = {"name": "squad"}
    return stub


@pytest.fixture(scope="session")
def real_url(answering_bundle: Path) -> Iterator[str]:
    """A real server that takes the text's second to fifth word for the answer to everything."""
    made = pointing(Pointing(3, 6, 20.0), rank_weight=80.0, min_score=0.0)
    with running(settings(answering_bundle, log_level="warning"), made) as client:
        yield client.url


def said(page: Page) -> str:
    """The answer, once it is there."""
    page.until(lambda: page.one("#answer").get_attribute("aria-busy") == "false")
    page.until(lambda: page.all("#answer > *"))
    return page.text("#answer")


def silent(page: Page, stub: Stub, asked: int = 1) -> bool:
    """Whether nothing is said once the server was ``asked`` for an answer that many times."""
    page.until(lambda: len(stub.of("POST", "/v1/answer")) == asked)
    page.until(lambda: page.one("#answer").get_attribute("aria-busy") == "false")
    return page.all("#answer > *") == []


def test_a_whole_sentence_stands_above_the_hits_with_the_answer_marked(
    stubbed: Page, reading: Stub
) -> None:
    stubbed.open(q=QUERY)
    assert said(stubbed)
    assert stubbed.text(".said") == SENTENCE
    assert stubbed.text(".said mark") == ANSWER["text"]  # by code points
    assert stubbed.text(".source") == "A long one · Likely right."
    above = "const [a, h] = ['answer', 'hits'].map((id) => document.getElementById(id));"
    assert stubbed.script(f"{above} return a.compareDocumentPosition(h) === 4")
    assert len(stubbed.all(".hit")) == 10


def test_the_title_leads_to_the_hit(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q=QUERY)
    said(stubbed)
    address = stubbed.driver.current_url
    stubbed.one(".source button").click()
    assert stubbed.focused() == "A long one"
    assert stubbed.script("return document.activeElement.closest('.hit').dataset.passage") == "27"
    assert stubbed.driver.current_url == address
    stubbed.press("k")
    assert stubbed.focused() == "Aspirin and stroke"


def test_a_passage_that_is_no_hit_is_named_without_a_link(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q="elsewhere")
    said(stubbed)
    assert stubbed.text(".source span") == "no hit"
    assert stubbed.all(".source button") == []
    assert stubbed.text(".sure").endswith("not measured on this collection.")


def test_it_asks_as_the_search_does(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q=QUERY, k=20, rank="off", filter='{"year": 2015}')
    said(stubbed)
    (asked,) = reading.of("POST", "/v1/answer")
    assert asked.body == {
        "query": QUERY, "top_k": 1, "include": ["passage"], "rank": "off", "filter": {"year": 2015},
    }  # fmt: skip


@pytest.mark.parametrize("query", ["nothing", "unsure", "a letter"])
def test_nothing_is_said_unless_it_is_sure_and_a_word(
    stubbed: Page, reading: Stub, query: str
) -> None:
    stubbed.open(q=query)
    assert silent(stubbed, reading)
    assert len(stubbed.all(".hit")) == 10


def test_hits_do_not_wait_for_the_answer(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q="slow answer")  # which is when the page is not busy any more
    assert len(stubbed.all(".hit")) == 10
    stubbed.until(lambda: stubbed.one("#answer").get_attribute("aria-busy") == "true")
    reading.slow.set()
    assert SENTENCE in said(stubbed)


def test_an_answer_to_another_query_is_dropped(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q="slow answer")
    stubbed.until(lambda: stubbed.one("#answer").get_attribute("aria-busy") == "true")
    stubbed.ask("nothing")
    assert reading.hung_up.wait(PATIENCE)
    assert silent(stubbed, reading, asked=2)
    reading.slow.set()
    stubbed.ask("slow answer")
    assert SENTENCE in said(stubbed)


def test_nothing_is_left_of_it_where_one_starts_afresh(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q=QUERY)
    said(stubbed)
    stubbed.one("#query").send_keys("\ue00c")  # Escape
    assert stubbed.seen("#start")
    assert stubbed.all("#answer > *") == []


def test_what_was_left_unread_is_said(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q="late")
    assert "time was too short to read all passages" in said(stubbed)


def test_a_reading_that_fails_leaves_the_hits(stubbed: Page, reading: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q="no reading")
    assert said(stubbed) == "Not read for an answer: the server is stopping."
    assert len(stubbed.all(".hit")) == 10
    assert not stubbed.seen("#failure")


def test_markup_in_an_answer_stays_text(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q="attack")
    said(stubbed)
    assert stubbed.text(".said") == stubbed.text(".said mark") == ATTACK
    assert stubbed.text(".source button") == SHOWN_ATTACK
    assert stubbed.script("return window.pwned === undefined")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_can_be_read_on_any_screen(
    stubbed: Page, reading: Stub, scheme: str, width: int
) -> None:
    stubbed.emulate(prefers_color_scheme=scheme)
    stubbed.width(width, 700)
    for query in (QUERY, "long words"):
        stubbed.open(q=query)
        said(stubbed)
        assert not stubbed.overflows()
        assert [found for found in stubbed.contrasts() if found["ratio"] < 4.5] == []


def test_a_screen_reader_is_told(stubbed: Page, reading: Stub) -> None:
    stubbed.open()
    region = stubbed.one("#answer")
    assert region.get_attribute("aria-live") == "polite"
    assert region.get_attribute("aria-label") == "Answer"
    stubbed.ask(QUERY)
    said(stubbed)
    assert stubbed.one("#answer") == region  # the same one, or nobody would be told
    label = stubbed.one(".source button").get_attribute("aria-label")
    assert label == "Go to the passage A long one"


def test_keys_are_sent(stubbed: Page, reading: Stub) -> None:
    stubbed.failures_wanted = True
    reading.keys = {"secret"}
    stubbed.open(q=QUERY)
    stubbed.until(lambda: stubbed.seen("#key"))
    stubbed.one("#key").send_keys("secret\n")
    assert SENTENCE in said(stubbed)
    assert [asked.key for asked in reading.of("POST", "/v1/answer")] == ["secret"]


@pytest.mark.parametrize(("query", "reader"), [(QUERY, None), ("no question", {"name": "squad"})])
def test_it_is_not_asked_without_a_reader_or_a_question(
    stubbed: Page, stub: Stub, query: str, reader: dict[str, str] | None
) -> None:
    stub.reader = reader
    stubbed.open(q=query)
    stubbed.until(lambda: "scifact" in stubbed.text("#bundle"))
    stubbed.ask("no question")
    assert stubbed.script("return fetch('v1/bundle').then(() => 0)") == 0
    assert stub.of("POST", "/v1/answer") == []


def test_where_nothing_is_found_nothing_is_read(stubbed: Page, reading: Stub) -> None:
    stubbed.open(q=QUERY, filter=json.dumps({"year": NO_VALUE}))
    assert stubbed.seen("#empty")
    assert stubbed.script("return fetch('v1/bundle').then(() => 0)") == 0
    assert reading.of("POST", "/v1/answer") == []


def test_a_real_server_answers(driver: Chrome, real_url: str) -> None:
    for page in watched(Page(driver, real_url)):
        page.open(q="where does the cat sleep on the windowsill")
        said(page)
        assert page.text(".sure").endswith("not measured on this collection.")
        assert page.text(".said mark") == "cat sleeps on the"
        assert page.text(".said").startswith("The cat sleeps on the warm")
        page.one(".source button").click()
        assert page.focused().startswith("animals")
