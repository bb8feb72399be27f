"""Ids at the end of a path: any text, also with line breaks, at which Starlette's ``path`` ends."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Id(Convertor[str]):
    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def register() -> None:
    """Let routes have a parameter ``{name:id}``."""
    register_url_convertor("id", _Id())
