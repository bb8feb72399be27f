"""Whether a server makes OpenTelemetry traces: by the setting ``traces``, or by the standard variables.

Nothing of OpenTelemetry is imported unless it does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from lurcher.errors import FieldError
from lurcher.server.settings import Settings

if TYPE_CHECKING:
    from lurcher.server.traces import Traces

_log = structlog.get_logger()

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_MISSING = "needs packages that are not here: pip install 'lurcher[otel]'"


def traces_of(settings: Settings, environment: Mapping[str, str] = os.environ) -> Traces | None:
    """Return what traces requests, None: nothing does.

    Raises FieldError where the setting wants it and the packages are not there. A variable may be set for all
    programs of a machine, so it alone only gets a warning then.
    """
    named = next((name for name in _ENDPOINTS if environment.get(name)), None)
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or (settings.traces is None and named is None):
        return None
    if not all(map(_is_there, _PACKAGES)):
        if settings.traces is not None:
            raise FieldError("traces", _MISSING)
        _log.warning("no traces", reason=f"{named} {_MISSING}")
        return None
    from lurcher.server.traces import to_collector

    return to_collector(settings.traces)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
