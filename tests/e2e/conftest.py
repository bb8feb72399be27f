"""A headless Chromium, and the search page in it: on canned replies or on a real server's."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import pytest

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.e2e.browsing import Page, watched
from tests.e2e.page_stub import Stub
from tests.server.serving import running, settings

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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def live_url(small_bundle: Path) -> Iterator[str]:
    """Where a real server of ``small_bundle`` listens."""
    with running(settings(small_bundle, log_level="warning")) as client:
        yield client.url


@pytest.fixture(params=[pytest.param("stub", marks=pytest.mark.nightly), "real"])
def base_url(request: pytest.FixtureRequest) -> str:
    """Where a server of the page listens: tests run on real replies, and at night on canned ones, too."""
    if request.param == "real":
        return str(request.getfixturevalue("live_url"))
    return str(request.getfixturevalue("stub").url)


@pytest.fixture
def page(driver: Chrome, base_url: str) -> Iterator[Page]:
    """The page of the server under test, not opened yet."""
    yield from watched(Page(driver, base_url))


@pytest.fixture
def stubbed(driver: Chrome, stub: Stub) -> Iterator[Page]:
    """The page on the stub, not opened yet."""
    yield from watched(Page(driver, stub.url))


@pytest.fixture
def bundle(base_url: str) -> dict[str, Any]:
    with urlopen(f"{base_url}/v1/bundle") as reply:  # noqa: S310 (the fixture's own address)
        return cast(dict[str, Any], json.load(reply))
