"""The search page in a browser: what a person does and sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 10.0  # seconds; a loaded machine is slow to paint
QUERY = "does aspirin prevent strokes"

_CONTRAST = """
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

    def hit(self, place: int) -> WebElement:
        """The hit in that place, from 1."""
        return self.all(".hit")[place - 1]

    def scores(self, place: int = 1) -> list[str]:
        """The names of the scores of the hit in that place, as its "Why?" has them."""
        hit = self.hit(place)
        if not hit.find_elements("css selector", ".why dl"):
            hit.find_element("css selector", ".ask").click()
        found = hit.find_elements("css selector", ".scores [data-score]")
        return [str(score.get_attribute("data-score")) for score in found]

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

    def contrasts(self) -> list[dict[str, Any]]:
        """Each visible text of its own with its ``ratio`` to the nearest painted background."""
        found: list[dict[str, Any]] = self.script(_CONTRAST)
        return found

    def overflows(self) -> bool:
        """Whether the page is wider than the window, less its scroll bar."""
        root = "document.documentElement"
        room = self.script(f"return {root}.getBoundingClientRect().width")
        return bool(self.script(f"return {root}.scrollWidth") != room)


def watched(page: Page) -> Iterator[Page]:
    """The page on a desk's screen; fails in the end if the browser complained of anything."""
    page.width(1280, 900)
    page.emulate(prefers_color_scheme="light")
    page.complaints()
    yield page
    assert page.complaints() == []
