"""The documentation of a Python library, read and never run; and the demonstration made of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.verifying import verify
from lurcher.index_builder.demo import demo_bundle, demo_folder
from lurcher.index_builder.progress import Silent
from lurcher.index_builder.python_docs import python_docs

LONG = "Long enough a docstring to say more than the name does"

FILES = {
    "animals.py": f'''
"""{LONG}: about animals in general."""
raise SystemExit("a module that is imported would end this")

class Cat:
    """{LONG}: a cat sleeps on the warm windowsill.

    And this stands below it.
    """

    def purr(self):
        """{LONG}: makes a low continuous sound."""

    async def hunt(self):
        """{LONG}: follows a mouse in the dark."""

    def silent(self):
        pass

def short():
    """Says little."""

if True:
    def hidden():
        """{LONG}: but it stands below a condition."""
''',
    "package/__init__.py": f'''
"""{LONG}: about the package."""
def thing():
    """{LONG}: the function of this name."""
def twice():
    """{LONG}: the first definition."""
def twice():
    """{LONG}: the second definition."""
''',
    "package/thing.py": f'"""{LONG}: the module of the same name."""',
    "package/old.py": f'"""{LONG}: an escape \\d that is no longer one."""',
    "broken.py": "def (:",
    "zeros.py": "\x00",
    "latin.py": "# no coding line\n'\udcff'",
    "test/test_it.py": f'"""{LONG}: a test."""',
    "site-packages/other.py": f'"""{LONG}: not this library."""',
    "notes.txt": LONG,
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode(errors="surrogateescape"))
    return root


def test_each_documented_name_is_a_passage(library: Path) -> None:
    passages = {p.id: p for p in python_docs(library)}
    assert list(passages) == [
        "animals",
        "animals.Cat",
        "animals.Cat.purr",
        "animals.Cat.hunt",
        "package",
        "package.thing",
        "package.twice",
        "package.old",
    ]
    cat = passages["animals.Cat"]
    assert cat.title == "animals.Cat"
    assert cat.metadata == {"module": "animals", "kind": "class"}
    assert cat.text.endswith("windowsill.\n\nAnd this stands below it.")
    assert passages["animals.Cat.hunt"].metadata["kind"] == "function"
    assert passages["package"].metadata["kind"] == "module"


def test_a_name_that_is_there_twice_is_documented_once(library: Path) -> None:
    texts = {p.id: p.text for p in python_docs(library)}
    assert texts["package.twice"].endswith("the first definition.")
    assert texts["package.thing"].endswith("the function of this name.")


def test_this_python_documents_itself() -> None:
    passages = python_docs()
    assert next(p for p in passages if p.id == "argparse.ArgumentParser").text.startswith("Object")


def test_the_demonstration_is_built_once(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "lurcher"
    path, manifest = demo_bundle(folder, Silent(), library)
    assert verify(path) == []
    assert manifest.passages == 8
    assert list(folder.iterdir()) == [path]
    before = (path / "manifest.json").stat().st_mtime_ns
    again, found = demo_bundle(folder, Silent(), tmp_path / "another library")
    assert (again, found.created) == (path, manifest.created)
    assert (path / "manifest.json").stat().st_mtime_ns == before


def test_the_demonstration_answers(library: Path, tmp_path: Path) -> None:
    path, _ = demo_bundle(tmp_path, Silent(), library)
    with closing(Bundle.open(path)) as bundle:
        query = bundle.query_encoder(1).encode(["what sound does a cat make"])
        (best,) = bundle.passages.get(bundle.vectors.search(query, 1)[1][0])
    assert best.id == "animals.Cat.purr"


def test_the_demonstration_lives_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert demo_folder() == Path("/somewhere/lurcher")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert demo_folder() == Path("/home/me/.cache/lurcher")
