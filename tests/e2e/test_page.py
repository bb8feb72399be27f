"""The search page in a real browser, under the policy the server sends with it.

Tests that take ``page`` hold for any server that serves the page over a bundle of ten passages or
more; the fixture ``base_url`` is the one seam to run them on another. Tests that take ``stubbed``
need replies that a healthy server gives seldom or never.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import select
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys  # noqa: E402 (after the skip)
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402 (after the skip)
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402 (after the skip)

PAGE = Path(__file__).parents[2] / "server" / "ui" / "index.html"
PATIENCE = 10.0  # seconds; a loaded machine is slow to paint
QUERY = "does aspirin prevent strokes"
NO_VALUE = "a value that no passage has"
ATTACK = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
FLAGS = [
    "headless=new",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
]
LONG_WORD = "antidisestablishmentarianism" * 20


def policy(page: str) -> str:
    """The Content-Security-Policy that lets through the page's own style and script, no other."""

    def source(tag: str) -> str:
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        return f"{tag}-src 'sha256-{digest}'"

    return (
        f"default-src 'none'; {source('style')}; {source('script')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


# ---- the stub: a server of canned replies, chosen by the query ----


def hit(text: str, best: str = "", **others: Any) -> dict[str, Any]:
    start = text.index(best)
    spans = [{"start": start, "end": start + len(best)}] if best else []
    plain = {
        "id": "4983",
        "score": 0.7312,
        "scores": {"dense": 0.7312},
        "title": "Aspirin and stroke",
    }
    return {**plain, "text": text, "metadata": {"year": 2015}, "highlights": spans, **others}


BEST = "Aspirin lowered the rate of ischaemic stroke."
LONG = "Background comes first. " * 30 + BEST + " More was measured." * 30
HITS = {
    "emoji": [hit("🐕🐕‍🦺 Hunde 🏃. Best one é🎯. Rest.", "Best one é🎯.")],
    "attack": [hit(ATTACK, ATTACK, id=ATTACK, title=ATTACK, metadata={ATTACK: [ATTACK]})],
    "long words": [
        hit(
            f"{LONG_WORD}. End.",
            "End.",
            id=LONG_WORD,
            title=LONG_WORD,
            metadata={LONG_WORD: LONG_WORD},
        )
    ],
    "no title": [hit("Bare.", title="")],
}
NORMAL = [
    hit(f"A trial. {BEST} It did not lower mortality.", BEST),
    hit(LONG, BEST, id="27", title="A long one", score=0.52, scores={"dense": 0.52}),
    *[hit("Other words.", id=f"n{i}", title=f"Hit {i}", score=0.5 - i / 50) for i in range(3, 11)],
]
PROBLEM = {
    "type": "about:blank",
    "title": "A field cannot be used",
    "status": 422,
    "detail": "filter.colour: no passage has this field; there are: year",
    "errors": [{"field": "filter.colour", "reason": "no passage has this field; there are: year"}],
}
FAULTS = {
    "title": "Two fields cannot be used",
    "status": 422,
    "detail": "See errors.",
    "errors": [
        {"field": "query", "reason": "is too long"},
        {"field": "filter.year", "reason": "is no number"},
    ],
}
FIELDS = {"year"}
BUNDLE = {
    "name": "scifact",
    "passages": 5183,
    "encoder": {"name": "minilm-l6", "dimension": 384},
    "filter_fields": sorted(FIELDS),
}


class Stub(ThreadingHTTPServer):
    """Serves the page and canned replies; holds the query "slow" until ``slow`` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.page = PAGE.read_text(encoding="utf-8")
        self.searches: list[dict[str, Any]] = []
        self.slow = threading.Event()
        self.hung_up = threading.Event()
        self.up = True


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output to the test's."""

    @property
    def stub(self) -> Stub:
        return cast(Stub, self.server)

    def reply(self, status: int, kind: str, body: str, **headers: str) -> None:
        with contextlib.suppress(ConnectionError):  # a cancelled request's browser has gone
            self.send_response(status)
            for name, value in {"Content-Type": kind, "X-Request-Id": "req-7", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    def released(self) -> bool:
        """Whether the reply was set free, True, before the client hung up, False."""
        while not self.stub.slow.is_set():
            if select.select([self.connection], [], [], 0.02)[0]:
                self.stub.hung_up.set()
                return False
        return True

    def do_GET(self) -> None:
        if self.path == "/v1/bundle":
            self.reply(200, "application/json", json.dumps(BUNDLE))
        elif urlsplit(self.path).path == "/":
            headers = {"Content-Security-Policy": policy(self.stub.page)}
            self.reply(200, "text/html; charset=utf-8", self.stub.page, **headers)
        else:
            self.reply(404, "text/plain", "no such page")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.stub.searches.append(asked)
        query, wanted = asked["query"], asked.get("filter", {})
        if not self.stub.up:
            return  # closes the connection without a word
        if query == "proxy":
            self.reply(502, "text/html", "<h1>Bad gateway</h1>")
        elif query == "many faults":
            self.reply(422, "application/problem+json", json.dumps(FAULTS))
        elif set(wanted) - FIELDS:
            problem = json.dumps({**PROBLEM, "request_id": "req-7"})
            self.reply(422, "application/problem+json", problem)
        else:
            if query == "slow" and not self.released():
                return
            hits = HITS.get(query, NORMAL)[: asked["top_k"]]
            found = {
                "hits": [] if NO_VALUE in wanted.values() else hits,
                "timings_ms": {
                    "queue": 0.1,
                    "encode": 3.2,
                    "search": 0.4,
                    "fetch": 0.1,
                    "total": 4.0,
                },
                "bundle": "scifact",
                "truncated": query == "late",
                "degraded": ["rank"] if query == "late" else [],
            }
            self.reply(200, "application/json", json.dumps(found))


# ---- the browser ----


class Page:
    """The search page in a browser: what a person does and sees."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self.failures_wanted = False

    def open(self, **address: str | int) -> Page:
        self.driver.get(f"{self.url}/?{urlencode(address)}" if address else f"{self.url}/")
        self.settle()
        return self

    def until(self, true: Callable[[], object]) -> None:
        WebDriverWait(self.driver, PATIENCE, 0.02).until(lambda _: true())

    def settle(self) -> None:
        self.until(lambda: self.one("main").get_attribute("aria-busy") == "false")

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def seen(self, selector: str) -> bool:
        return self.one(selector).is_displayed()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def ask(self, query: str, wait: bool = True) -> None:
        box = self.one("#query")
        box.clear()
        box.send_keys(query + Keys.ENTER)
        if wait:
            self.settle()

    def filter_by(self, wanted: str) -> None:
        self.one("#filter-toggle").click()
        self.one("#filter").send_keys(wanted + Keys.ENTER)
        self.settle()

    def script(self, code: str, *values: object) -> Any:
        return self.driver.execute_script(code, *values)

    def focused(self) -> str:
        return str(
            self.script("return document.activeElement.id || document.activeElement.textContent")
        )

    def emulate(self, **features: str) -> None:
        pairs = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": pairs})

    def width(self, width: int, height: int) -> None:
        # A headless window is never narrower than 500 px; the emulated device is.
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints(self) -> list[str]:
        """What the browser's console holds; failed requests only where a test wants none."""
        return [
            line["message"]
            for line in self.driver.get_log("browser")  # type: ignore[no-untyped-call] # selenium's own
            if not (self.failures_wanted and line["source"] == "network")
        ]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    browser, service = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not service:
        pytest.skip("chromium or chromedriver is not installed")
    options = ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The path is given so that Selenium does not look for a driver to download.
    chrome = Chrome(options=options, service=ChromeService(executable_path=service))
    yield chrome
    chrome.quit()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.slow.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def base_url(stub: Stub) -> str:
    """Where a server of the page listens."""
    return stub.url


@pytest.fixture
def page(driver: Chrome, base_url: str) -> Iterator[Page]:
    """The page of the server under test, not opened yet."""
    yield from watched(Page(driver, base_url))


@pytest.fixture
def stubbed(driver: Chrome, stub: Stub) -> Iterator[Page]:
    """The page on the stub, not opened yet."""
    yield from watched(Page(driver, stub.url))


def watched(page: Page) -> Iterator[Page]:
    """The page on a desk's screen; fails in the end if the browser complained of anything."""
    page.width(1280, 900)
    page.emulate(prefers_color_scheme="light")
    page.complaints()
    yield page
    assert page.complaints() == []


@pytest.fixture
def bundle(base_url: str) -> dict[str, Any]:
    with urlopen(f"{base_url}/v1/bundle") as reply:  # noqa: S310 (the fixture's own address)
        return cast(dict[str, Any], json.load(reply))


# ---- the file ----


def test_page_is_one_small_file_that_the_policy_lets_through() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < 40_000
    assert policy(text).count("sha256-") == 2
    markup = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"\s(style|on\w+)=", markup)
    assert not re.search(r"(src|href)=\"(?!data:|\./)", markup)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


# ---- what holds on any server ----


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
    assert {"encode", "search", "total"} <= set(re.findall(r"[a-z]{3,}", page.text("#legend")))
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


def test_filter_that_nothing_passes_says_so_and_can_be_dropped(
    page: Page, bundle: dict[str, Any]
) -> None:
    if not bundle["filter_fields"]:
        pytest.skip("the bundle has no field to filter by")
    page.open(q=QUERY, k=5)
    page.filter_by(json.dumps({bundle["filter_fields"][0]: NO_VALUE}))
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


@pytest.mark.parametrize("wanted", ['{"year": ', "[1]", "3", "null"])
def test_filter_that_is_no_object_is_not_sent(stubbed: Page, stub: Stub, wanted: str) -> None:
    stubbed.open()
    stubbed.one("#query").send_keys(QUERY)
    stubbed.filter_by(wanted)
    assert stubbed.text("#filter-wrong")
    assert stubbed.one("#filter").get_attribute("aria-invalid") == "true"
    assert stub.searches == []
    stubbed.one("#filter").send_keys(" ")
    assert not stubbed.seen("#filter-wrong")


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
        root = "document.documentElement"
        room = page.script(f"return {root}.getBoundingClientRect().width")  # less the scroll bar
        assert page.script(f"return {root}.scrollWidth") == room, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wanted", ["", '{"colour": "red"}'])
def test_contrast_of_all_text_meets_wcag_aa(page: Page, scheme: str, wanted: str) -> None:
    page.failures_wanted = True
    page.emulate(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.open(q=QUERY, filter=wanted)
    pairs = page.script(CONTRAST)
    assert len(pairs) > 10
    assert [pair for pair in pairs if pair["ratio"] < 4.5] == []


# Each visible element with a text of its own, with its ratio to the nearest painted background.
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const colour = getComputedStyle(element).backgroundColor;
  return (numbers(colour)[3] ?? 1) > 0 ? colour : behind(element.parentElement);
};
return [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && !e.disabled && !e.matches(".unseen, option"))
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return { text: e.textContent.slice(0, 40), ratio: (a + 0.05) / (b + 0.05) };
  });
"""


# ---- what needs a reply made for it ----


def test_request_asks_for_what_the_page_shows(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=f"  {QUERY} ", k=20, filter='{"year": {"gte": 2000}}')
    assert stub.searches == [
        {
            "query": QUERY,
            "top_k": 20,
            "filter": {"year": {"gte": 2000}},
            "include": ["text", "scores", "highlights", "metadata"],
        }
    ]


def test_best_sentence_is_marked_in_short_and_long_texts(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY)
    assert [mark.text for mark in stubbed.all("mark")] == [BEST, BEST]
    assert stubbed.text(".hit:nth-child(1) .text") == NORMAL[0]["text"]
    assert not stubbed.seen(".hit:nth-child(1) .more")
    closed = stubbed.text(".hit:nth-child(2) .text")
    assert closed.startswith("… ")
    assert closed.endswith(" …")
    assert closed.strip("… ") in LONG
    stubbed.one(".hit:nth-child(2) .more").click()
    assert stubbed.text(".hit:nth-child(2) .text") == LONG
    assert stubbed.text(".hit:nth-child(2) .more") == "Show less"
    assert "dense 0.5200" in stubbed.text(".hit:nth-child(2) .chips")


def test_highlights_count_code_points(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="emoji")
    assert stubbed.text("mark") == "Best one é🎯."
    assert stubbed.text(".text") == HITS["emoji"][0]["text"]


def test_markup_in_a_passage_stays_text(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q="attack")
    stubbed.one(".name").click()
    assert stubbed.text(".name") == ATTACK
    assert stubbed.text(".text") == stubbed.text("mark") == ATTACK
    assert [chip.text for chip in stubbed.all(".chips li")][:2] == [ATTACK, f"{ATTACK} {ATTACK}"]
    assert stubbed.all("main img, main script") == []
    assert stubbed.script("return window.pwned === undefined")


def test_policy_is_in_force(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    stubbed.script(
        "const made = document.createElement('script');"
        "made.textContent = 'window.pwned = 1'; document.body.append(made)"
    )
    assert stubbed.script("return window.pwned === undefined")
    assert any("Content Security Policy" in line for line in stubbed.complaints())


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
    assert not stubbed.seen("#request-line")
    stub.up = True
    stubbed.one("#retry").click()
    stubbed.until(lambda: stubbed.seen("#results"))
    assert not stubbed.seen("#failure")


def test_reply_that_is_no_json_shows_its_status(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q="proxy")
    assert "502" in stubbed.text("#failure-detail")
    assert stubbed.text("#request-id") == "req-7"
    assert stubbed.seen("#retry")


def test_each_field_at_fault_has_its_reason(stubbed: Page, stub: Stub) -> None:
    stubbed.failures_wanted = True
    stubbed.open(q="many faults")
    lines = stubbed.text("#reasons").splitlines()
    assert lines == ["query is too long", "filter.year is no number"]
    assert stubbed.text("#filter-wrong") == "filter.year: is no number"


def test_new_search_cancels_the_one_under_way(stubbed: Page, stub: Stub) -> None:
    stubbed.open(q=QUERY, k=5)
    stubbed.ask("slow", wait=False)
    stubbed.until(lambda: len(stub.searches) == 2)
    assert stubbed.one("main").get_attribute("aria-busy") == "true"
    assert stubbed.text("#status") == "Searching…"
    assert len(stubbed.all(".hit")) == 5  # the page does not jump while it waits
    stubbed.ask("emoji")
    assert stub.hung_up.wait(PATIENCE)
    assert stubbed.text("mark") == "Best one é🎯."
    assert stubbed.one("main").get_attribute("aria-busy") == "false"


def test_typing_does_not_search(stubbed: Page, stub: Stub) -> None:
    stubbed.open()
    stubbed.one("#query").send_keys("half a que")
    stubbed.script("return fetch('v1/bundle').then(() => 0)")
    assert stub.searches == []


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
    moving = "return getComputedStyle(document.querySelector('.track'), '::after').animationName"
    for wanted, name in (("no-preference", "run"), ("reduce", "none")):
        stubbed.emulate(prefers_reduced_motion=wanted)
        stubbed.open(q=QUERY)
        stubbed.ask("slow", wait=False)
        stubbed.until(lambda: stubbed.one("main").get_attribute("aria-busy") == "true")
        assert stubbed.script(moving) == name
        stub.slow.set()
        stubbed.settle()
        stub.slow.clear()
