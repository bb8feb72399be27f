"""From a record's fields to a document: one set of checks for every kind of corpus."""

from __future__ import annotations

import math
from typing import Any

from lurcher.index_builder.corpus.document import Document, Part
from lurcher.text import cut

MAX_ID_BYTES = 512
_SHOWN = 80  # characters of a name or value in a reason

# Fixed, and far below the interpreter's recursion limit: whether a record is good may not depend
# on how deep the caller's stack is, and the bundle has to write the metadata as JSON again.
MAX_DEPTH = 100

# Between the passages of a record in its text.
_BETWEEN = "\n\n"

_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


class BadRecord(Exception):
    """One record cannot be used; its message is the reason. It never leaves this package."""


def kind_of(value: object) -> str:
    """The name of the value's type in JSON's words, with its article."""
    return _KINDS.get(type(value), f"of type {type(value).__name__}")


def shown(name: str) -> str:
    """The name in quotes, cut and escaped so that it fits any message and any output."""
    return repr(cut(name, _SHOWN))


def document_of(fields: dict[str, Any], nested: dict[str, Any]) -> Document:
    """The document of a record's ``fields``; those that are not its own become metadata.

    ``nested`` is metadata that the record holds in one object. A list of ``passages`` stands in the
    place of ``text``. Raises BadRecord.
    """
    given = {key: _id(key, fields[key]) for key in ("id", "_id") if key in fields}
    if not given:
        raise BadRecord("id is missing; it is called 'id' or '_id'")
    if len(set(given.values())) > 1:
        raise BadRecord("id and _id are both there and differ")
    own = {"id", "_id", "text", "title"}
    parts: tuple[Part, ...] = ()
    if isinstance(fields.get("passages"), list):
        if fields.get("text") is not None:
            raise BadRecord(
                "text and passages are both there; passages stand in the place of a text"
            )
        own.add("passages")
        text, parts = _parts(fields["passages"])
    elif "text" not in fields:
        raise BadRecord("text is missing")
    else:
        text = _text("text", fields["text"])
    title = fields.get("title")
    metadata = {k: v for k, v in fields.items() if k not in own}
    for key in nested:
        if key in metadata:
            raise BadRecord(f"{shown(key)} is both a field of the record and a key of its metadata")
    metadata |= nested
    check_metadata(metadata)
    return Document(
        id=next(iter(given.values())),
        text=text,
        title="" if title is None else _text("title", title),
        metadata=metadata,
        parts=parts,
    )


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raise BadRecord unless JSON and UTF-8 can hold ``metadata``."""
    _check_value("metadata", metadata, 0)


def _parts(passages: list[Any]) -> tuple[str, tuple[Part, ...]]:
    """The passages that a record brought, and the text that they are parts of: all of them in turn."""
    if not passages:
        raise BadRecord("passages are empty; leave them out, or give a text")
    texts: list[str] = []
    parts = []
    place = 0
    for number, given in enumerate(passages):
        name = f"passages.{number}"
        one = {"text": given} if isinstance(given, str) else given
        if not isinstance(one, dict):
            raise BadRecord(f"{name} is {kind_of(one)}; it must be a string or an object")
        if unknown := set(one) - {"text", "title", "section"}:
            raise BadRecord(
                f"{name}: {shown(min(unknown))} is unknown; there are text, title, section"
            )
        text = _text(f"{name}.text", one.get("text"))
        if not text.strip():
            raise BadRecord(f"{name}.text is blank")
        title, section = one.get("title"), one.get("section")
        path = section if isinstance(section, list) else [] if section is None else [section]
        parts.append(
            Part(
                place, place + len(text),
                "" if title is None else _text(f"{name}.title", title),
                tuple(_text(f"{name}.section", heading) for heading in path),
            )
        )  # fmt: skip
        texts.append(text)
        place += len(text) + len(_BETWEEN)
    return _BETWEEN.join(texts), tuple(parts)


def _id(name: str, value: object) -> str:
    # bool is a subclass of int, but true is nobody's idea of an id.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRecord(f"{name} is {kind_of(value)}; it must be a string or an integer")
    text = str(value)
    if not text.strip():
        raise BadRecord(f"{name} is {'blank' if text else 'empty'}")
    size = len(_encoded(name, text))
    if size > MAX_ID_BYTES:
        raise BadRecord(f"{name} has {size} bytes of UTF-8; the most is {MAX_ID_BYTES}")
    return text


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadRecord(f"{name} is {kind_of(value)}; it must be a string")
    _encoded(name, value)
    return value


def _encoded(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BadRecord(f"{name} holds a lone surrogate, which is not valid Unicode") from None


def _check_value(name: str, value: object, depth: int) -> None:
    """Raise BadRecord unless JSON and UTF-8 can hold ``value``."""
    if depth > MAX_DEPTH:
        raise BadRecord(f"{name} is nested more than {MAX_DEPTH} deep")
    match value:
        case str():
            _encoded(name, value)
        case float() if not math.isfinite(value):
            raise BadRecord(f"{name} holds {value}, which is not valid JSON")
        case None | bool() | int() | float():
            pass
        case list():
            for item in value:
                _check_value(name, item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise BadRecord(
                        f"{name} has the key {key!r}, which is {kind_of(key)}; keys are strings"
                    )
                _encoded(name, key)
                # The outermost key says where in the record the fault is.
                _check_value(f"metadata {shown(key)}" if depth == 0 else name, item, depth + 1)
        case _:
            raise BadRecord(f"{name} is {kind_of(value)}, which JSON cannot hold")
