from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lurcher.index_builder.corpus import Record, read_corpus


def read(folder: Path, notebook: Any) -> list[Record]:
    (folder / "a.ipynb").write_text(json.dumps(notebook))
    return list(read_corpus(folder))


def cell(kind: str, source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, **more}


def test_cells_become_markdown(tmp_path: Path) -> None:
    cells = [
        cell("code", "# not a title\nx = 1", outputs=[{"text": "an output"}]),
        cell("markdown", ["# A title\n", "words"]),
        cell("code", 'print("""\n```\n""")'),
        cell("raw", "raw"),
        cell("code", []),
    ]
    (record,) = read(tmp_path, {"cells": cells, "nbformat": 4})
    assert record.document is not None
    assert record.document.title == "A title"
    assert record.document.text == (
        "```\n# not a title\nx = 1\n```\n\n# A title\nwords\n\n"
        '````\nprint("""\n```\n""")\n````\n\nraw'
    )


def test_the_older_format(tmp_path: Path) -> None:
    cells = [cell("heading", "Old\n", level=2), {"cell_type": "code", "input": "x = 1"}]
    (record,) = read(tmp_path, {"worksheets": [{"cells": cells[:1]}, {"cells": cells[1:]}]})
    assert record.document is not None
    assert (record.document.title, record.document.text) == ("Old", "## Old\n\n```\nx = 1\n```")


@pytest.mark.parametrize(
    ("notebook", "reason"),
    [
        ([], "a notebook must be a JSON object; this one is a list"),
        ({"nbformat": 4}, "not a notebook: it has no list of cells"),
        ({"cells": ["x"]}, "cell 1 is a string; it must be an object"),
        (
            {"cells": [cell("code", ""), cell("code", [1])]},
            "the source of cell 2 is neither a string nor a list of strings",
        ),
    ],
)
def test_what_is_no_notebook(tmp_path: Path, notebook: Any, reason: str) -> None:
    (record,) = read(tmp_path, notebook)
    assert record.reason == reason
