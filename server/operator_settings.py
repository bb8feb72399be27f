"""The settings of those who run a server: what it logs, and how much each API key may ask."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class OperatorSettings(BaseModel):
    """Follow those of ``server.settings``, which they may contradict."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key_rate: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="Requests a second that each API key may send on average, if the file of keys gives it "
        "no `rate`; beyond it, it gets 429. If unset, as many as it likes.",
    )  # fmt: skip
    key_burst: int | None = Field(
        None, ge=1,
        description="Requests that each API key may send at once after a pause; if unset, those of a second.",
    )  # fmt: skip
    metrics: Literal["open", "admin", "off"] = Field(
        "open", description="Who may ask `/metrics`: everybody, who has an admin key, or nobody."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535,
        description="Port on which `/metrics` is answered, and nothing else but health; if unset, `port`.",
    )  # fmt: skip
    docs: bool = Field(True, description="Answer `/docs` and `/openapi.json`.")
    audit: Path | None = Field(
        None,
        description="File to which each write and administrative action adds a line; if unset, the log has "
        "them.",
    )
    slow_ms: float = Field(
        1_000, ge=0,
        description="Time in milliseconds from which on a request is logged as slow, with the time of each "
        "of its stages; 0: none is.",
    )  # fmt: skip
    log_queries: bool = Field(
        False, description="Log the query of a slow request; no other line has texts of callers."
    )
    traces: str | None = Field(
        None,
        description="URL of an OpenTelemetry collector to send traces to, by OTLP over HTTP; if unset, that "
        "in the variable OTEL_EXPORTER_OTLP_ENDPOINT, if any.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Log format: JSON lines, or text for a person; auto: text if stderr is a terminal.",
    )

    @field_validator("metrics")
    @classmethod
    def _somebody_may_ask(cls, value: str, info: ValidationInfo) -> str:
        """Without an admin key nobody could."""
        if value == "admin" and not has_admin(info):
            raise ValueError("needs an admin key: admin_keys, or one in keys_file")
        return value

    @field_validator("metrics_port")
    @classmethod
    def _another_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Metrics that are off have no port, and one port has one socket."""
        if value is not None and info.data.get("metrics") == "off":
            raise ValueError("is where metrics are, and metrics is off")
        if value is not None and value == info.data.get("port"):
            raise ValueError("is that of port, too; leave it out to have metrics there")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: Any) -> Any:
        return in_any_case(value)

    @field_validator("traces")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError("must be a URL, such as http://localhost:4318")
        return value

    @field_validator("log_queries")
    @classmethod
    def _of_slow_requests(cls, value: bool, info: ValidationInfo) -> bool:
        """Only what is logged as slow has a query."""
        if value and not info.data.get("slow_ms"):
            raise ValueError("logs those of slow requests, and with slow_ms 0 none is")
        return value

    @field_validator("key_rate")
    @classmethod
    def _of_keys(cls, value: float | None, info: ValidationInfo) -> float | None:
        """Without keys nobody would be limited."""
        if value is not None and not has_keys(info):
            raise ValueError(
                "is by API key, and there is none in keys_file, read_keys, write_keys or admin_keys"
            )
        return value

    @field_validator("key_burst")
    @classmethod
    def _of_a_rate(cls, value: int | None, info: ValidationInfo) -> int | None:
        """A bucket that is never filled would be no limit but an end."""
        if value is not None and info.data.get("key_rate") is None:
            raise ValueError("needs a key_rate too")
        return value


def in_any_case(value: Any) -> Any:
    """Return a word in lower case, whatever case it came in; WARN is one: other servers want LOG_LEVEL so."""
    word = value.strip().lower() if isinstance(value, str) else value
    return "warning" if word == "warn" else word


def has_keys(info: ValidationInfo) -> bool:
    """Return whether there are API keys of any kind, or may be."""
    lists = ("keys_file", "read_keys", "write_keys", "admin_keys")
    return any(info.data.get(name) for name in lists)


def has_admin(info: ValidationInfo) -> bool:
    """Return whether there are keys that may do everything, or may be."""
    return bool(info.data.get("admin_keys") or info.data.get("keys_file"))
