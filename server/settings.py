"""What can be set: by flag, by environment (``LURCHER_`` and the name), or in a TOML file.

A flag wins over the environment, the environment over the file, the file over the default.
``lurcher.example.toml`` shows every setting with its default.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from lurcher.models.engines import EngineName
from lurcher.models.errors import FieldError


class Settings(BaseSettings):
    """The settings of one server."""

    model_config = SettingsConfigDict(env_prefix="LURCHER_", extra="forbid", frozen=True)

    bundle: Path = Field(description="The bundle to serve.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    check_hashes: bool = Field(
        True, description="Check every file of the bundle against its sha256 before serving it."
    )
    threads: int | None = Field(
        None, ge=1, description="Cores to use; unset: all that the CPU quota allows."
    )
    engine: EngineName = Field(
        "onnxruntime", description="What computes the query encoder; deepsparse is an extra."
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Largest request body, in bytes.")
    max_query_chars: int = Field(8_000, ge=1, description="Longest query, in characters.")
    max_queries: int = Field(512, ge=1, description="Most queries in one batch request.")
    max_hits: int = Field(
        20_000, ge=1, description="Most hits that all queries of one request may ask for together."
    )
    max_top_k: int = Field(1_000, ge=1, description="Most hits a query may ask for.")
    max_candidates: int = Field(
        1_000, ge=1, description="Most passages that one query may have ranked."
    )
    max_ranked: int = Field(
        100_000, ge=1,
        description="Most passages that all queries of one request may have ranked together.",
    )  # fmt: skip
    max_read_depth: int = Field(
        100, ge=1, description="How many hits one question may have read at most."
    )
    max_waiting: int = Field(
        2_048, ge=1, description="Queries that may wait before new ones get 429."
    )
    batch_size: int = Field(32, ge=1, description="Most queries that are encoded together.")
    timeout_ms: int = Field(
        10_000, ge=1, description="Time a request gets if it does not say, and the most it may say."
    )
    shutdown_seconds: int = Field(
        30, ge=0, description="How long a stopping server goes on with what it started."
    )
    feedback: Path | None = Field(
        None, description="The log that keeps callers' feedback; unset: none is taken."
    )
    feedback_clients: int = Field(
        1, ge=1, description="Different clients that must judge a pair before it counts."
    )
    feedback_client_weight: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="Most weight one client can give one pair."
    )
    feedback_pairs: int = Field(
        50_000, ge=1, description="Pairs of query and passage that live feedback may hold."
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins whose pages may call the server from a browser."
    )
    read_keys: list[str] = Field(
        default_factory=list, description="Hashes of the API keys that may search."
    )
    write_keys: list[str] = Field(
        default_factory=list, validate_default=True,
        description="Hashes of the API keys that may search and give feedback.",
    )  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Logs as JSON lines, or for reading on a terminal."
    )

    @field_validator("max_waiting")
    @classmethod
    def _room_for_a_batch(cls, value: int, info: ValidationInfo) -> int:
        """A batch request that never fits would be told to try again for ever."""
        if value < info.data.get("max_queries", 0):
            raise ValueError(f"must be at least max_queries, {info.data['max_queries']}")
        return value

    @field_validator("read_keys", "write_keys")
    @classmethod
    def _hashes(cls, value: list[str]) -> list[str]:
        """A key itself, put here by mistake, would be one that lets nobody in."""
        if not all(_KEY_HASH.fullmatch(one) for one in value):
            raise ValueError("each must be sha256: and 64 hex digits, as `lurcher key` prints it")
        return value

    @field_validator("write_keys")
    @classmethod
    def _someone_may_write(cls, value: list[str], info: ValidationInfo) -> list[str]:
        """With read keys alone, feedback would either be open to everyone or closed to everyone."""
        if not value and info.data.get("feedback") and info.data.get("read_keys"):
            raise ValueError("feedback with read_keys needs a write key too")
        return value


_KEY_HASH = re.compile("sha256:[0-9a-f]{64}")


def load_settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings from ``flags``, the environment and the TOML file ``config``, in that order.

    Raises FieldError naming the setting, or the file where it cannot be read.
    """
    from_file: dict[str, Any] = {}
    if config is not None:
        try:
            from_file = tomllib.loads(config.read_text(encoding="utf-8"))
        except OSError as error:
            raise FieldError("config", f"cannot read {config}: {error.strerror}") from error
        except ValueError as error:
            raise FieldError("config", f"{config} is not TOML: {error}") from error

    try:
        environment = EnvSettingsSource(Settings)()
        return Settings(**{**from_file, **environment, **flags})
    except SettingsError as error:  # a list in the environment is JSON
        raise FieldError(
            _name_in(str(error)), "its value in the environment is not JSON"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise FieldError(str(first["loc"][0]), reason) from error


def _name_in(message: str) -> str:
    return next((name for name in Settings.model_fields if f'"{name}"' in message), "environment")
