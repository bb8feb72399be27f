"""The files of the search page: small, of this server, readable in light and dark, and its modules' tests."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lurcher.server.routes import page

UI = Path(page.__file__).parents[1] / "ui"
FILES = [UI / "index.html", *sorted(UI.glob("*.css")), *sorted(UI.glob("*.js"))]
TESTS = sorted((Path(__file__).parent / "ui").glob("*.test.mjs"))


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(page.router)
    return TestClient(app)


def parts(client: TestClient) -> list[str]:
    """The addresses of the files that the page asks for."""
    return re.findall(r'(?:href|src)="(ui/[^"]+)"', client.get("/").text)


def test_every_file_is_served_to_be_kept_and_compressed(client: TestClient) -> None:
    addresses = parts(client)
    assert {Path(address).name for address in addresses} == {path.name for path in FILES[1:]}
    for address in addresses:
        reply = client.get(f"/{address}")
        path = UI / Path(address).name
        assert reply.text == path.read_text(encoding="utf-8")
        kind = "text/javascript" if path.suffix == ".js" else "text/css"
        assert reply.headers["content-type"] == f"{kind}; charset=utf-8"
        assert reply.headers["content-encoding"] == "gzip"
        assert "immutable" in reply.headers["cache-control"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        bare = client.get(f"/{address}", headers={"Accept-Encoding": "gzip;q=0, br"})
        assert "content-encoding" not in bare.headers
        assert bare.content == path.read_bytes()


def test_a_page_of_another_version_gets_what_there_is_and_keeps_nothing(client: TestClient) -> None:
    assert client.get("/ui/0000/page.js").headers["cache-control"] == "no-cache"
    assert client.get("/").headers["cache-control"] == "no-cache"
    for name in ("none.js", "index.html", "..%2f..%2fapp.py"):
        assert client.get(f"/ui/0000/{name}").status_code == 404


def test_it_is_small() -> None:
    sent = [gzip.compress(path.read_bytes()) for path in FILES]
    assert sum(map(len, sent)) < 50_000
    assert sum(path.stat().st_size for path in FILES) < 125_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_makes_markup_of_text_or_asks_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"Function\(|setTimeout\(\s*[\"'`]", text)
    # The namespace of SVG is a name; the rest are patterns.
    hosts = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
    assert hosts == set()
    assert not re.search(r"(?<!\w)url\(|@import|(src|href)=\"(?!data:|\./|ui/|docs\")", text)


def test_the_page_has_no_script_style_or_handler_of_its_own() -> None:
    markup = FILES[0].read_text(encoding="utf-8")
    assert not re.search(r"<style|\s(style|on\w+)=", markup)
    assert re.findall(r"<script[^>]*>(.*?)</script>", markup, re.DOTALL) == [""]


def test_every_module_is_loaded_at_once() -> None:
    """A module that the page does not name is asked for only once the one that imports it has come."""
    named = set(re.findall(r"ui/(\w+\.js)", FILES[0].read_text(encoding="utf-8")))
    modules = {path.name for path in UI.glob("*.js")}
    assert named == modules
    for path in UI.glob("*.js"):
        imported = re.findall(r"from \"\./([^\"]+)\"", path.read_text(encoding="utf-8"))
        assert set(imported) <= modules, path.name


def test_every_part_that_a_module_names_is_in_the_page() -> None:
    markup = FILES[0].read_text(encoding="utf-8")
    ids = set(re.findall(r'\bid="([\w-]+)"', markup))
    for path in UI.glob("*.js"):
        named = re.findall(r'byId\("([\w-]+)"\)', path.read_text(encoding="utf-8"))
        assert set(named) <= ids, path.name
    labelled = re.findall(
        r'(?:for|aria-controls|aria-labelledby|aria-describedby)="([^"]+)"', markup
    )
    assert {one for names in labelled for one in names.split()} <= ids


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


STYLE = (UI / "page.css").read_text(encoding="utf-8")
LIGHT = colours(STYLE.partition("@media")[0])
DARK = colours(STYLE.partition("@media (prefers-color-scheme: dark)")[2].partition("*, *")[0])
TEXT_ON = [
    *[(text, paper) for text in ("ink", "soft", "muted", "accent") for paper in ("paper", "raised", "sunk")],
    ("accent-ink", "accent"), ("mark-ink", "mark"), ("bad", "bad-paper"), ("bad", "paper"), ("bad", "raised"),
    ("ink", "bad-paper"), ("soft", "bad-paper"), ("accent", "bad-paper"), ("ink", "note"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_colours_meet_wcag_aa(scheme: str, palette: dict[str, str]) -> None:
    assert palette.keys() == LIGHT.keys()
    low = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in TEXT_ON}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    # What tells a field's edge, the focus and the parts of the bar from the page.
    for name in ("edge", "accent", *(name for name in palette if name.startswith("stage-"))):
        assert contrast(palette[name], palette["paper"]) >= 3, name


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_modules_pass_their_own_tests(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run([node, "--test", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
