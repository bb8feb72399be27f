"""The Python examples of a page, run one after the other, as a reader would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(
    path: Path, capsys: pytest.CaptureFixture[str], instead: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The names that the examples of the page at ``path`` leave, and what each has printed.

    Texts that are keys of ``instead``, such as an address, are replaced by their values.
    """
    page = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    printed: list[str] = []
    for block in _BLOCK.finditer(page):
        # Blank lines before it, so that a traceback has the line numbers of the page.
        lines = "\n" * page.count("\n", 0, block.start(1)) + block[1]
        for text, other in (instead or {}).items():
            lines = lines.replace(text, other)
        capsys.readouterr()  # a server's log
        exec(compile(lines, str(path), "exec"), names)  # noqa: S102 (our own page)
        printed.append(capsys.readouterr().out)
    return names, printed
