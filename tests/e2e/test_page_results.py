"""The search page on documentation: Markdown as it reads, pages with their passages, facets, the reader."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from selenium.webdriver import Keys

from tests.e2e.browsing import QUERY, Page
from tests.e2e.page_replies import GUIDE
from tests.e2e.page_stub import Stub

FIRST = ".hit .text "


def marked(page: Page, within: str) -> str:
    """What is marked there, blanks included."""
    return "".join(str(one.get_attribute("textContent")) for one in page.all(f"{within} mark"))


def test_markdown_is_shown_as_it_reads(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    shown = stubbed.text(FIRST)
    for syntax in ("**", "`", "##", "](", "|", "* one"):
        assert syntax not in shown
    assert stubbed.text(FIRST + "strong") == "this"
    assert stubbed.text(FIRST + "pre code") == "$ pip install lurcher"
    assert [item.text for item in stubbed.all(FIRST + "li")] == ["one", "two"]
    assert [cell.text for cell in stubbed.all(FIRST + ":is(th, td)")] == [
        "name", "use", "a", "first",
    ]  # fmt: skip
    (link,) = stubbed.all(FIRST + "a")  # a relative one leads nowhere from here
    assert link.get_attribute("href") == "https://example.org/a_b"
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert marked(stubbed, ".document:first-child .hit:first-child") == "Run this in bash"


def test_heading_says_page_and_section_and_where_it_stands(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    assert stubbed.text(".name") == "Guide › Install"
    assert stubbed.text(".path") == "docs › guide › install.md"
    assert "Install" not in stubbed.text(FIRST).splitlines()  # not once more as the text's heading


def test_passages_of_a_page_stand_together_and_one_text_once(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    assert stubbed.text("#status") == "5 passages in 3 documents"
    (first, *others) = stubbed.all(".document")
    assert len(others) == 2
    names = [name.text for name in first.find_elements("css selector", ".name")]
    assert names == ["Guide › Install", "Uninstall"]
    assert stubbed.text(".same") == "The same in site › install.html"
    stubbed.ask("two alike")
    assert stubbed.text(".same") == "The same text in 2 more passages"
    stubbed.ask("five of one")
    assert len(stubbed.all(".hit")) == 3
    stubbed.one(".rest").click()
    assert len(stubbed.all(".hit")) == 5
    assert stubbed.focused() == "Further on"


def test_link_opens_the_source_and_only_a_web_address_is_one(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    links = {name.text: name.get_attribute("href") for name in stubbed.all(".first .name")}
    assert links["FAQ"] == "https://example.org/faq#os"
    assert str(links["Bad link"]).startswith(f"{stub.url}/?")
    assert [path.text for path in stubbed.all(".path")][1] == "example.org › faq"
    assert len(stubbed.all(".read")) == 1


def test_reader_shows_the_passage_in_its_document(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    stubbed.press(Keys.ARROW_DOWN, Keys.ENTER)
    stubbed.until(lambda: stubbed.all("#reader .passage"))
    assert stubbed.focused() == "reader-close"
    assert stubbed.text("#reader-title") == "Guide"
    assert stubbed.text("#reader .passage h3") == "Install"
    assert stubbed.text("#reader-text").endswith("The end of the guide.")
    assert marked(stubbed, "#reader") == "Run this in bash"
    assert len(stubbed.all(".hit")) == 4  # beside it
    assert [asked.path for asked in stub.asked if "documents" in asked.path] == [
        f"/v1/documents/{GUIDE.replace('/', '%2F')}"
    ]
    address = stubbed.driver.current_url
    stubbed.press(Keys.ESCAPE)
    assert not stubbed.seen("#reader")
    assert stubbed.focused() == "Guide › Install"
    assert "open=" not in stubbed.driver.current_url
    stubbed.driver.get(address)  # the link shows the same
    stubbed.until(lambda: stubbed.all("#reader .passage"))


def test_reader_covers_a_phone_and_the_rest_is_out_of_reach(stubbed: Page, stub: Stub) -> None:
    stubbed.width(390, 800)
    stubbed.open(q="docs")
    stubbed.one(".name").click()
    stubbed.until(lambda: stubbed.all("#reader .passage"))
    assert stubbed.script("return document.getElementById('form').inert")
    assert not stubbed.overflows()
    stubbed.one("#reader-close").click()
    assert not stubbed.script("return document.getElementById('form').inert")


def test_document_that_cannot_be_had_leaves_its_passage(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q=QUERY)
    stubbed.one(".name").click()
    stubbed.until(lambda: stubbed.all("#reader .wrong"))
    assert stubbed.text("#reader .wrong") == "no document has this id"
    assert "A trial." in stubbed.text("#reader-text")


def test_facets_count_what_is_shown_and_filter(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="years")
    stubbed.until(lambda: stubbed.all(".facet"))
    assert [facet.text.split() for facet in stubbed.all(".facet")] == [["2001", "2"], ["2002", "1"]]
    assert "of the passages shown" in stubbed.text("#narrow")
    stubbed.one(".facet").click()
    stubbed.settle()
    assert stub.searches[-1]["filter"] == {"year": 2001}
    assert json.dumps({"year": 2001}).replace(" ", "") in stubbed.script(
        "return decodeURIComponent(location.search)"
    )
    stubbed.until(lambda: stubbed.all(".facet[aria-pressed=true]"))
    assert [facet.get_attribute("aria-pressed") for facet in stubbed.all(".facet")] == [
        "true", "false",
    ]  # fmt: skip
    stubbed.one(".condition").click()
    stubbed.settle()
    assert "filter" not in stub.searches[-1]
    assert stubbed.all(".condition") == []


def test_facets_are_of_the_whole_collection_if_the_server_counts_them(
    stubbed: Page, stub: Stub
) -> None:
    values = [{"value": 2001, "count": 70}, {"value": 1999, "count": 30}]
    stub.facets = [{"field": "year", "values": values, "distinct": 2, "passages": 100}]
    stubbed.open(q="years")
    stubbed.until(lambda: stubbed.all(".facet"))
    assert [facet.text.split() for facet in stubbed.all(".facet")] == [
        ["2001", "70"],
        ["1999", "30"],
    ]
    assert stubbed.text("#counts") == "Counts are of the whole collection."
    stubbed.one(".facet").click()
    stubbed.until(lambda: stubbed.all(".facet[aria-pressed=true]"))
    asked = [parse_qs(urlsplit(one.path).query) for one in stub.asked if "/facets" in one.path]
    assert [(one["field"], one["filter"]) for one in asked] == [
        (["source", "year"], ["{}"]),  # without a filter
        (["source"], ['{"year":2001}']),
        (["year"], ["{}"]),  # of a field with a condition: what the others leave
    ]


def test_paths_are_narrowed_by_folder(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    stubbed.until(lambda: stubbed.all(".facet"))
    counts = dict(facet.text.split() for facet in stubbed.all(".facet"))
    assert counts == {"docs/": "2", "faq/": "2", "site/": "1"}
    stubbed.one(".facet").click()
    stubbed.settle()
    assert stub.searches[-1]["filter"] == {"source": {"gte": "docs/", "lt": "docs0"}}
    assert stubbed.text(".condition") == "source: docs/\n×"


def test_examples_come_from_the_collection(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    stubbed.until(lambda: stubbed.seen("#examples"))
    assert [one.text for one in stubbed.all("#examples a")] == [
        "What is it for?", "How to keep a dog warm",
    ]  # fmt: skip
    stubbed.one("#examples a").click()
    stubbed.settle()
    assert stub.searches[-1]["query"] == "What is it for?"
    assert "q=What" in stubbed.driver.current_url


def test_words_that_met_are_named(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    stubbed.scores()
    stubbed.until(lambda: not stubbed.all(".met[aria-busy]"))
    assert stubbed.text(".met") == "aspirin → Aspirin 0.91"
    stubbed.scores(2)
    aligned = [
        asked
        for asked in stub.of("POST", "/v1/search")
        if asked.body["include"] == ["token_alignment"]
    ]
    assert len(aligned) == 1  # for all hits of a search


def test_switch_between_collections_where_there_are_several(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    stubbed.until(lambda: stub.of("GET", "/v1/collections"))
    assert not stubbed.seen("#collection")
    stub.collections = [*stub.collections, {"name": "others", "default": False, "passages": 3}]
    stubbed.open(q=QUERY)
    stubbed.until(lambda: stubbed.seen("#collection"))
    stubbed.one("#collection").send_keys("others")
    stubbed.until(lambda: stub.of("POST", "/v1/collections/others/search"))
    stubbed.settle()
    assert "c=others" in stubbed.driver.current_url
    assert stub.of("GET", "/v1/collections/others/bundle")
    stubbed.driver.back()
    stubbed.until(lambda: len(stub.of("POST", "/v1/search")) >= 2)
    assert stubbed.one("#collection").get_attribute("value") == ""


def test_more_passages_are_had_by_a_button(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY, k=5)
    stubbed.one("#more").click()
    stubbed.settle()
    assert stub.searches[-1]["top_k"] == 10


def test_direction_of_text_is_its_own(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="docs")
    directed = stubbed.script(
        "return [...document.querySelectorAll('#query, .name, .text p, .text ul')]"
        ".every((one) => one.dir === 'auto')"
    )
    assert directed


def test_nothing_shifts_when_hits_come(stubbed: Page, stub: Stub) -> None:
    """What was there when a person pressed Enter stays in its place, but for the hits themselves."""
    stubbed.open(q=QUERY)
    place = (
        "return JSON.stringify(['form', 'column', 'side']"
        ".map((id) => document.getElementById(id).getBoundingClientRect().top))"
    )
    before = stubbed.script(place)
    stubbed.ask("slow", wait=False)
    stubbed.until(lambda: stubbed.one("main").get_attribute("aria-busy") == "true")
    assert stubbed.script(place) == before
    stub.slow.set()
    stubbed.settle()
    assert stubbed.script(place) == before
