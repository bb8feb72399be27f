"""Real text that every machine has: the docstrings of Python's standard library.

Modules are parsed, never imported. Each module, class and function with a docstring becomes a passage.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from bundle.passages import Passage

_SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "__pycache__",
}
_SHORTEST = 40  # characters: below, a docstring says no more than the name


def python_docs(library: Path | None = None) -> Iterator[Passage]:
    """A passage for each documented name in ``library`` (default: this Python's own), sorted by file."""
    root = library or Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not _SKIPPED.intersection(inside.parts):
            yield from _documented(
                path, ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            )


def _documented(path: Path, module: str) -> Iterator[Passage]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code's escape sequences are not ours to judge
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    seen: set[str] = set()
    for name, node in _names(tree, module):
        text = inspect.cleandoc(ast.get_docstring(node) or "")
        # A name that is defined twice (by platform, say) is documented by its first definition.
        if len(text) >= _SHORTEST and name not in seen:
            seen.add(name)
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
