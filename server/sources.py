"""Where settings come from: environment variables and a TOML file, as values and where each one stood."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from lurcher.errors import FieldError

PREFIX = "LURCHER_"

# Kubernetes gives each container the addresses of its namespace's services. One called "lurcher" becomes
# LURCHER_PORT=tcp://10.43.98.242:8080, LURCHER_SERVICE_HOST, LURCHER_PORT_8080_TCP_ADDR and so on.
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+")
_OF_SERVICE_LINK = re.compile(
    r"(?:^|_)(?:SERVICE_(?:HOST\Z|PORT(?:\Z|_\w))|PORT(?:\Z|_\d+_(?:TCP|UDP|SCTP)(?:\Z|_\w)))"
)


class Given(NamedTuple):
    """Settings by name, and where each stood, such as "in LURCHER_PORT"."""

    values: dict[str, Any]
    places: dict[str, str]


def from_environment(
    environment: Mapping[str, str], names: Collection[str], lists: Collection[str],
    warn: Callable[[str], object], paths: Collection[str] = (),
) -> Given:  # fmt: skip
    """The settings among ``names`` that variables give; those among ``lists`` are JSON.

    A list of ``paths`` may be one path, as it is.

    A variable that is empty is unset. The address of a Kubernetes service is ignored with a warning, and so
    is a variable of no setting. Raises FieldError for a list that is not JSON.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for variable, name, text in _variables(environment):
        if _SERVICE_LINK.fullmatch(text):
            if name in names:
                warn(
                    f"{variable}={shown(text)} is ignored: it is the address of a Kubernetes service. Set "
                    "enableServiceLinks: false, or name the service otherwise"
                )
        elif name in names:
            is_json = name in lists and (name not in paths or text.startswith("["))
            values[name] = _decoded(name, variable, text) if is_json else text
            places[name] = f"in {variable}"
        elif not _OF_SERVICE_LINK.search(name.upper()):
            warn(f"{variable} is ignored: {unknown(name, names)}")
    return Given(values, places)


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Variable, setting and text of each that is ours and not empty, in any case; upper case wins."""
    ours = [variable for variable in environment if variable.upper().startswith(PREFIX)]
    for variable in sorted(ours, reverse=True):  # a later one replaces an earlier one
        text = environment[variable].strip()  # a file of variables may have other line ends
        if text:
            yield variable, variable[len(PREFIX) :].lower(), text


def _decoded(name: str, variable: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise FieldError(
            name, f"its value in {variable} is not JSON, such as '[\"...\"]'"
        ) from error


def from_file(path: Path, names: Collection[str], paths: Collection[str]) -> Given:
    """The settings in the TOML file at ``path``; those among ``paths`` are relative to its folder.

    Raises FieldError for a file that cannot be read, and for a name that is no setting.
    """
    try:
        # Editors on Windows put a mark before the text.
        values = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise FieldError("config", f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FieldError(
            "config", f"{path} is not TOML: it is not UTF-8 ({error.reason})"
        ) from error
    except ValueError as error:
        raise FieldError("config", f"{path} is not TOML: {error}") from error
    for name in values:
        if name not in names:
            raise FieldError(name, f"in {path}: {unknown(name, names)}")
    folder = path.absolute().parent

    def placed(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [placed(name, one) for one in value]
        is_path = isinstance(value, str) and value.strip()
        return folder / expanded(name, value) if is_path else value

    for name in values.keys() & set(paths):
        values[name] = placed(name, values[name])
    return Given(values, dict.fromkeys(values, f"in {path}"))


def expanded(name: str, written: str | Path) -> Path:
    """The path ``written`` with a leading ``~`` as the home folder. Raises FieldError."""
    try:
        return Path(written).expanduser()
    except RuntimeError as error:  # ~somebody who is not known here
        raise FieldError(name, f"{shown(str(written))}: {error}") from error


def unknown(name: str, names: Collection[str]) -> str:
    """Why ``name`` is not taken, with the setting that was probably meant."""
    near = get_close_matches(name, names, 1)
    return (
        f"there is no such setting; did you mean {near[0]}?" if near else "there is no such setting"
    )


def shown(value: object) -> str:
    """``value`` as an error quotes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
