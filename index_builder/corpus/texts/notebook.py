"""Jupyter notebooks as Markdown."""

from __future__ import annotations

import re
from typing import Any

from lurcher.index_builder.corpus.json_files.parsing import json_object
from lurcher.index_builder.corpus.passage import BadRecord, kind_of

_TICKS = re.compile(r"^[ ]{0,3}(`{3,}+)", re.MULTILINE)


def notebook_markdown(text: str) -> str:
    """The notebook's cells, in order, as Markdown in which code stands between fences.

    Outputs are left out. Formats 3 and 4 are read. Raises BadRecord.
    """
    notebook = json_object(text, "a notebook must be a JSON object")
    sheets = notebook.get("worksheets")
    parts = sheets if isinstance(sheets, list) else [notebook]
    cells: list[str] = []
    for part in parts:
        found = part.get("cells") if isinstance(part, dict) else None
        if not isinstance(found, list):
            raise BadRecord("not a notebook: it has no list of cells")
        cells += [_cell(number, cell) for number, cell in enumerate(found, len(cells) + 1)]
    return "\n\n".join(cell for cell in cells if cell)


def _cell(number: int, cell: object) -> str:
    if not isinstance(cell, dict):
        raise BadRecord(f"cell {number} is {kind_of(cell)}; it must be an object")
    kind = cell.get("cell_type")
    source = _source(number, cell.get("source", cell.get("input", "")))
    if not source.strip():
        return ""
    match kind:
        case "code":
            fence = "`" * (1 + max([2, *(len(ticks) for ticks in _TICKS.findall(source))]))
            return f"{fence}\n{source}\n{fence}"
        case "heading":
            level = cell.get("level")
            hashes = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1)
            return f"{hashes} {' '.join(source.split())}"
    return source


def _source(number: int, value: Any) -> str:
    lines = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str) for line in lines):
        raise BadRecord(f"the source of cell {number} is neither a string nor a list of strings")
    return "".join(lines).strip("\n")
