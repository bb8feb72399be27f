"""The settings of a server: from flags, environment variables (``LURCHER_`` and the name) and a TOML file.

A flag overrides the environment, the environment overrides the file, the file overrides the default.
``lurcher.example.toml`` lists every setting with its default.
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

from lurcher.errors import FieldError
from lurcher.models.engines import EngineName


class Settings(BaseSettings):
    """The settings of one server."""

    model_config = SettingsConfigDict(env_prefix="LURCHER_", extra="forbid", frozen=True)

    bundle: Path = Field(description="The bundle to serve.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    check_hashes: bool = Field(
        True, description="Check every file of the bundle against its SHA-256 before serving it."
    )
    threads: int | None = Field(
        None, ge=1, description="Cores to use; if unset, all that the CPU quota allows."
    )
    engine: EngineName = Field(
        "onnxruntime", description="What runs the query encoder; deepsparse is an optional extra."
    )
    max_body_bytes: int = Field(
        1_048_576, ge=1_024, description="Maximum size of a request body, in bytes."
    )
    max_query_chars: int = Field(
        8_000, ge=1, description="Maximum length of a query, in characters."
    )
    max_queries: int = Field(
        512,
        ge=1,
        description="Maximum number of queries in a batch request, or of pairs in a feedback request.",
    )
    max_hits: int = Field(
        20_000,
        ge=1,
        description="Maximum number of hits that all queries of a request may ask for together.",
    )
    max_top_k: int = Field(1_000, ge=1, description="Maximum number of hits per query.")
    max_candidates: int = Field(
        1_000, ge=1, description="Maximum number of passages ranked per query."
    )
    max_ranked: int = Field(
        100_000, ge=1,
        description="Maximum number of passages ranked for all queries of a request together.",
    )  # fmt: skip
    max_read_depth: int = Field(100, ge=1, description="Maximum number of hits read per question.")
    max_waiting: int = Field(
        2_048, ge=1, description="Maximum number of queries that wait; beyond it, new ones get 429."
    )
    batch_size: int = Field(32, ge=1, description="Maximum number of queries encoded together.")
    timeout_ms: int = Field(
        10_000,
        ge=1,
        description="Time limit of a request in milliseconds: the default and the maximum.",
    )
    shutdown_seconds: int = Field(
        30, ge=0, description="Time that a stopping server has to finish requests, in seconds."
    )
    feedback: Path | None = Field(
        None, description="File that stores feedback; if unset, the server takes no feedback."
    )
    feedback_clients: int = Field(
        1, ge=1, description="Number of different clients that must give a pair before it counts."
    )
    feedback_client_weight: float = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Maximum weight that one client can give one pair.",
    )
    feedback_pairs: int = Field(
        50_000,
        ge=1,
        description="Maximum number of pairs of query and passage learnt since the bundle was made.",
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins of web pages that may call the server (CORS)."
    )
    read_keys: list[str] = Field(
        default_factory=list, description="Hashes of the API keys that may search."
    )
    write_keys: list[str] = Field(
        default_factory=list, validate_default=True,
        description="Hashes of the API keys that may search and give feedback.",
    )  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Log format: JSON lines, or text for a terminal."
    )

    @field_validator("max_waiting")
    @classmethod
    def _room_for_a_batch(cls, value: int, info: ValidationInfo) -> int:
        """A batch that can never fit into the queue would get 429 for ever."""
        if value < info.data.get("max_queries", 0):
            raise ValueError(f"must be at least max_queries, {info.data['max_queries']}")
        return value

    @field_validator("read_keys", "write_keys")
    @classmethod
    def _hashes(cls, value: list[str]) -> list[str]:
        """A key put here instead of its hash would let nobody in."""
        if not all(_KEY_HASH.fullmatch(one) for one in value):
            raise ValueError("each must be sha256: and 64 hex digits, as `lurcher key` prints it")
        return value

    @field_validator("write_keys")
    @classmethod
    def _someone_may_write(cls, value: list[str], info: ValidationInfo) -> list[str]:
        """With read keys only, feedback would be open to everyone or to no one."""
        if not value and info.data.get("feedback") and info.data.get("read_keys"):
            raise ValueError("feedback with read_keys needs a write key too")
        return value


_KEY_HASH = re.compile("sha256:[0-9a-f]{64}")


def load_settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings from ``flags``, the environment and the TOML file ``config``; the first that has one wins.

    Raises FieldError for a setting that cannot be used, or a file that cannot be read.
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
