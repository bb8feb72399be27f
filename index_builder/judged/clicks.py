"""Known queries from a log of clicks: JSON lines, plain or gzipped.

::

    query     the text that was asked
    passage   id of the passage that was clicked
    weight    what the click is worth, from 0; 1 where it is left out
    time      optional: seconds since 1970, or ISO 8601 (UTC where it names no zone)
    client    optional: a string that tells clients apart

Other fields are passed over. Weights of the same query and passage add up. Logs are often shipped
twice: of clicks that agree in all of these fields, time given, one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lurcher.errors import CorpusError, FieldError
from lurcher.index_builder.corpus.encoding.lines import read_lines
from lurcher.index_builder.judged.known import Known, query_id, weight_fault
from lurcher.index_builder.judged.seen import Seen
from lurcher.text import is_blank, lone_surrogate, normalised

_YEAR_9999 = 253_402_300_799  # the last second that ISO 8601 can write


class _Click(NamedTuple):
    query: str
    passage: str
    weight: float
    time: float | None
    client: str | None


def read_clicks(paths: Sequence[Path]) -> list[Known]:
    """One known query for each text that was asked, spelt as it first was, in order of appearance.

    Its id depends on the normalised text alone, so what is read later replaces it. The files are read as
    one stream: memory is needed for distinct queries and pairs, and some 20 bytes for a click with a
    time. Raises CorpusError.
    """
    found: dict[str, Known] = {}
    seen = Seen()
    for file, click in ((path, click) for path in paths for click in _clicks(path)):
        key = normalised(click.query)
        if click.time is not None and not seen.add(repr((key, *click[1:]))):
            continue
        if click.weight > 0:
            known = found.get(key) or Known(query_id("clicks", key), click.query, {}, file.name)
            known.labels[click.passage] = known.labels.get(click.passage, 0.0) + click.weight
            found[key] = known
    if not found:
        raise CorpusError(paths[0], None, "no click with a weight above 0 in it")
    return list(found.values())


def _clicks(path: Path) -> Iterator[_Click]:
    """The click of each line that is not blank. Raises CorpusError."""
    for line in read_lines(path):
        if line.fault:
            raise CorpusError(path, line.number, line.fault)
        if not line.text.strip():
            continue
        try:
            fields = json.loads(line.text)
        except (ValueError, RecursionError) as error:
            raise CorpusError(path, line.number, f"not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise CorpusError(path, line.number, "not a JSON object")
        try:
            yield _click(fields)
        except FieldError as error:
            raise CorpusError(path, line.number, str(error)) from error


def _click(fields: dict[str, Any]) -> _Click:
    """The click that a line's fields tell of. Raises FieldError."""
    passage = fields.get("passage")
    if isinstance(passage, int) and not isinstance(passage, bool):
        passage = str(passage)  # as ids of passages are read
    client = fields.get("client")
    return _Click(
        query=_text("query", fields.get("query")),
        passage=_text("passage", passage),
        weight=_weight(fields.get("weight", 1)),
        time=_time(fields.get("time")),
        client=None if client is None else _text("client", client),
    )


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or is_blank(value):
        raise FieldError(field, "must be a string that is not blank")
    if lone_surrogate(value) is not None:
        raise FieldError(field, "holds a lone surrogate, which is not valid Unicode")
    return value


def _weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FieldError("weight", "must be a number")
    fault = weight_fault(value)
    if fault:
        raise FieldError("weight", fault)
    return float(value)


def _time(value: object) -> float | None:
    """Seconds since 1970, or None where no time is given. Raises FieldError."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise FieldError("time", f"{value[:40]!r} is not ISO 8601") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FieldError("time", "must be seconds since 1970, or a string in ISO 8601")
    if not abs(value) <= _YEAR_9999:
        raise FieldError("time", "is after the year 9999; it must be in seconds")
    return float(value)
