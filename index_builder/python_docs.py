"""A corpus that every machine has: the docstrings of Python's standard library.

Modules are parsed, never imported. Each module, class and function with a docstring becomes a passage.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from lurcher.bundle.passages import Passage

_SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "__pycache__",
}
_SHORTEST = 40  # characters; a shorter docstring says no more than the name


def python_docs(library: Path | None = None) -> Iterator[Passage]:
    """A passage for each documented name in ``library`` (default: this Python's own), sorted by file."""
    root = library or Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not _SKIPPED.intersection(inside.parts):
            module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            for passage in _documented(path, module):
                # A name defined twice (once per platform; as a function of a package and as a module
                # in it) is documented by its first definition.
                if passage.id not in seen:
                    seen.add(passage.id)
                    yield passage


def _documented(path: Path, module: str) -> Iterator[Passage]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code's escape sequences are not ours to judge
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for name, node in _names(tree, module):
        text = inspect.cleandoc(ast.get_docstring(node) or "")
        if len(text) >= _SHORTEST:
            kind = _KINDS[type(node)]
            yield Passage(name, text, title=name, metadata={"module": module, "kind": kind})


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_KINDS: dict[type[ast.AST], str] = {
    ast.Module: "module", ast.ClassDef: "class",
    ast.FunctionDef: "function", ast.AsyncFunctionDef: "function",
}  # fmt: skip


def _names(node: _Documented, name: str) -> Iterator[tuple[str, _Documented]]:
    yield name, node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _names(child, f"{name}.{child.name}")
