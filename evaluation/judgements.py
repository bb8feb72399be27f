"""Queries and which passages answer them, as BEIR writes them.

``queries.jsonl``: one ``{"_id", "text"}`` a line. ``qrels/*.tsv``: a header, then query id, passage id
and grade, separated by tabs. Either may be gzipped. Judgements as TREC writes them are read, too: query id,
iteration, passage id and grade, separated by white space. Either may have a header or none.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.text import lone_surrogate

Qrels = dict[str, dict[str, int]]

# What headers call the last column.
_GRADE_COLUMN = re.compile(
    r"(gain|grade|judge?ment|label|rating|rel|relevance|score|value|weight)(_\w*)?", re.IGNORECASE
)


def read_queries(path: Path) -> dict[str, str]:
    """The text of each query by its id, in file order. Raises CorpusError."""
    queries: dict[str, str] = {}
    for number, line in lines(path):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(path, number, f"not JSON: {error}") from error
        if not isinstance(found, dict):
            raise CorpusError(path, number, "not a JSON object")
        id_, text = found.get("_id", found.get("id")), found.get("text")
        if not isinstance(id_, str | int) or isinstance(id_, bool) or not isinstance(text, str):
            raise CorpusError(path, number, "needs an _id (or id) and a text, both strings")
        if lone_surrogate(text) is not None:
            reason = "text holds a lone surrogate, which is not valid Unicode"
            raise CorpusError(path, number, reason)
        if str(id_) in queries:
            raise CorpusError(path, number, f"query id {str(id_)!r} was used before")
        queries[str(id_)] = text
    if not queries:
        raise CorpusError(path, None, "no query in it")
    return queries


def read_qrels(path: Path) -> Qrels:
    """The grade of each judged passage by query id and passage id. Raises CorpusError.

    The first line says which of the two layouts the file has; its header may be left out.
    """
    qrels: Qrels = {}
    columns = 0
    for number, line in lines(path):
        width = len(_split(line))
        fields = judgement_fields(line)
        if not columns:
            columns = width
            if is_header(fields):
                continue
        if len(fields) != 3 or width != columns:
            wanted = "query id, passage id, grade, or TREC's query id, iteration, passage id, grade"
            if columns in (3, 4):
                wanted = f"{columns} as in the lines before"
            raise CorpusError(path, number, f"{width} fields, expected {wanted}")
        try:
            qrels.setdefault(fields[0], {})[fields[1]] = int(fields[2])
        except ValueError as error:
            raise CorpusError(path, number, f"grade {fields[2]!r} is not a whole number") from error
    if not qrels:
        raise CorpusError(path, None, "no judgement in it")
    return qrels


def judgement_fields(line: str) -> list[str]:
    """The fields of a judgement, without the iteration that TREC puts second: three, if it is a good one."""
    fields = _split(line)
    return [fields[0], *fields[2:]] if len(fields) == 4 else fields


def is_header(fields: Sequence[str]) -> bool:
    """Whether the ``fields`` of a file's first line name columns, by what the last one is called.

    Any other word there is a judgement without a grade, which must not be passed over.
    """
    return _GRADE_COLUMN.fullmatch(fields[-1].strip()) is not None


def _split(line: str) -> list[str]:
    text = line.rstrip("\r\n")
    return text.split("\t") if "\t" in text else text.split()


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers."""
    try:
        with path.open("rb") as file:
            opener = gzip.open if file.read(2) == b"\x1f\x8b" else open
        with opener(path, "rt", encoding="utf-8-sig") as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield number, str(line)
    except OSError as error:
        raise CorpusError(path, None, error.strerror or str(error)) from error
    except (EOFError, zlib.error) as error:
        raise CorpusError(path, None, f"broken gzip: {error}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(path, None, f"not UTF-8: {error}") from error
