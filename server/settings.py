"""The settings of a server: from flags, environment variables (``LURCHER_`` and the name) and a TOML file.

A flag overrides the environment, the environment overrides the file, the file overrides the default.
``lurcher.example.toml`` lists every setting with its default.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from lurcher.errors import FieldError
from lurcher.models.engines import EngineName
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.server.hosts import is_host_name
from lurcher.server.operator_settings import OperatorSettings, has_admin, in_any_case
from lurcher.server.sources import Given, expanded, from_environment, from_file, shown

# A key's hash, as `lurcher key` prints it.
KEY_HASH = r"^sha256:[0-9a-f]{64}$"


class ServedSettings(BaseModel):
    """What is served, within which limits, and to whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: list[Path] = Field(
        default_factory=list,
        description="The bundle to serve, or several; each is a collection, the first is the default.",
    )
    collections: Path | None = Field(
        None, description="Folder of which each `*.lurcher` is served, after those in `bundle`."
    )
    encoder_only: bool = Field(
        False,
        description="Serve an encoder alone, to embed and rerank texts: that of `bundle`, which may be an "
        "encoder's folder, or the shipped one.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    check_hashes: bool = Field(
        True, description="Check every file of the bundle against its SHA-256 before serving it."
    )
    threads: int | None = Field(
        None, ge=1, description="Cores to use; if unset, all that the CPU quota allows."
    )
    workers: int = Field(
        1, ge=1,
        description="Processes that serve the port, and divide `threads` and `max_connections` among them.",
    )  # fmt: skip
    engine: EngineName = Field(
        "auto",
        description="What runs the encoder; auto: native if that is faster, else onnxruntime.",
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
    max_inputs: int = Field(
        2_048, ge=1, description="Maximum number of texts in a request to embed."
    )
    max_hits: int = Field(
        20_000,
        ge=1,
        description="Maximum number of hits that all queries of a request may ask for together.",
    )
    max_reply_bytes: int = Field(
        67_108_864, ge=1_024, description="Maximum size of a search's reply, in bytes."
    )
    max_top_k: int = Field(1_000, ge=1, description="Maximum number of hits per query.")
    max_candidates: int = Field(
        1_000, ge=1, description="Maximum number of passages ranked per query."
    )
    max_ranked: int = Field(
        100_000, ge=1,
        description="Maximum number of passages ranked for all queries of a request together.",
    )  # fmt: skip
    max_aligned: int = Field(
        200, ge=1,
        description="Maximum number of hits for which a request may ask for token_alignment.",
    )  # fmt: skip
    max_read_depth: int = Field(100, ge=1, description="Maximum number of hits read per question.")
    max_waiting: int = Field(
        2_048, ge=1,
        description="Maximum number of queries that wait, and as many of batches; beyond it, new ones get "
        "429.",
    )  # fmt: skip
    max_wait_ms: int = Field(
        200, ge=1,
        description="Maximum time in milliseconds that a request may wait to be begun; beyond it, new ones "
        "get 429. Where the queue has stood for half of that, 30 ms. Batch requests may wait until their "
        "deadline.",
    )  # fmt: skip
    batch_size: int = Field(32, ge=1, description="Maximum number of queries encoded together.")
    timeout_ms: int = Field(
        10_000,
        ge=1,
        description="Time limit of a request in milliseconds: the default and the maximum.",
    )
    shutdown_seconds: int = Field(
        30, ge=0, description="Time that a stopping server has to finish requests, in seconds."
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="Time that a connection may stay idle, in seconds; more than a load balancer's.",
    )
    max_connections: int = Field(
        2_048, ge=1, description="Maximum number of connections; beyond it, new ones get 503."
    )
    max_header_bytes: int = Field(
        32_768, ge=1_024, description="Maximum size of a request's line and headers, in bytes."
    )
    read_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False,
        description="Time in seconds for a request's headers to come, and as long again for its body.",
    )  # fmt: skip
    write_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False,
        description="Time in seconds that a client may leave a reply unread.",
    )  # fmt: skip
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Host names under which the server may be called, `*` for any; if empty: `localhost` on "
        "a loopback address, and any name on others. IP addresses are always allowed.",
    )
    feedback: Path | None = Field(
        None,
        description="File that stores feedback; if unset, the server takes no feedback. With several bundles "
        "or `collections`, a folder.",
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
    feedback_bytes: int = Field(
        1_073_741_824, ge=65_536,
        description="Size of the feedback log in bytes from which on no more is taken.",
    )  # fmt: skip
    writable: bool = Field(
        False,
        description="Take writes of passages; no other process may write the bundle meanwhile.",
    )
    write_share: float = Field(
        0.25, gt=0, le=1,
        description="Share of one core's time that writing, and that compacting, may take while requests "
        "are being answered.",
    )  # fmt: skip
    ranker_model: Path | None = Field(
        None,
        description="Folder that `lurcher export-ranker` wrote, to write into a bundle that its T5 ranks.",
    )
    follow_ms: int = Field(
        20, ge=0,
        description="Interval in milliseconds at which a server that is not writable looks for writes by "
        "another process; 0: it serves the bundle as it was opened.",
    )  # fmt: skip
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins of web pages that may call the server (CORS)."
    )
    keys_file: Path | None = Field(
        None,
        description="File of API keys, each for some collections or all; SIGHUP reads it again. With it, "
        "everything needs a key.",
    )
    admin_keys: list[str] = Field(
        default_factory=list,
        description="Hashes of the API keys that may do everything, such as load and unload collections.",
    )
    read_keys: list[str] = Field(
        default_factory=list, description="Hashes of the API keys that may search."
    )
    write_keys: list[str] = Field(
        default_factory=list, validate_default=True,
        description="Hashes of the API keys that may search, give feedback and write passages.",
    )  # fmt: skip
    admin_folders: list[Path] = Field(
        default_factory=list, validate_default=True,
        description="Folders below which admin routes may load bundles; without any, they do not.",
    )  # fmt: skip

    @field_validator("bundle", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """One bundle need not be in a list."""
        return [value] if isinstance(value, str | Path) else value

    @field_validator("encoder_only")
    @classmethod
    def _one_encoder(cls, value: bool, info: ValidationInfo) -> bool:
        """An encoder alone is no collection beside others."""
        if value and (info.data.get("collections") or len(info.data.get("bundle", ())) > 1):
            raise ValueError("serves one encoder, so it goes with one bundle and no collections")
        return value

    @property
    def has_several(self) -> bool:
        """Whether the server has, or may get, more than one collection."""
        return len(self.bundle) > 1 or self.collections is not None or bool(self.admin_folders)

    @field_validator("engine", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return in_any_case(value)

    @field_validator("host")
    @classmethod
    def _address(cls, value: str) -> str:
        """An IPv6 address may come in brackets, as URLs have it."""
        if not value.strip():
            raise ValueError("must not be blank; 0.0.0.0 or :: listens on every address")
        return value.strip().removeprefix("[").removesuffix("]")

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: list[str]) -> list[str]:
        """An address with a port or a scheme would be no request's name, so that all were refused."""
        names = [name.rstrip(".") for name in value]
        if wrong := [name for name in names if name != "*" and not is_host_name(name)]:
            raise ValueError(
                f"{wrong[0]!r} is no host name: give example.org, without scheme, port and wildcards;"
                " `*` alone allows any"
            )
        return names

    @field_validator("feedback", "writable")
    @classmethod
    def _needs_a_corpus(cls, value: Path | bool | None, info: ValidationInfo) -> Path | bool | None:
        """Feedback names passages, and writes are of passages."""
        if value and info.data.get("encoder_only"):
            raise ValueError("is about passages, and encoder_only serves none")
        return value

    @field_validator("workers")
    @classmethod
    def _a_thread_each(cls, value: int, info: ValidationInfo) -> int:
        """No worker can do with less than a thread."""
        threads = info.data.get("threads")
        if threads is not None and value > threads:
            raise ValueError(f"each needs a thread, and threads is {threads}")
        return value

    @field_validator("follow_ms")
    @classmethod
    def _seen_by_all(cls, value: int, info: ValidationInfo) -> int:
        """One worker writes; what the others do not follow they would never show."""
        for name in ("writable", "feedback"):
            if not value and info.data.get(name) and info.data.get("workers", 1) > 1:
                raise ValueError(
                    f"must not be 0 with {name} and several workers, of which one writes"
                )
        return value

    @field_validator("admin_folders")
    @classmethod
    def _one_is_told(cls, value: list[Path], info: ValidationInfo) -> list[Path]:
        """An admin route would change what one worker serves, and not the others."""
        if value and info.data.get("workers", 1) > 1:
            raise ValueError(
                "is for one process; SIGHUP reloads the collections of several workers"
            )
        return value

    @field_validator("max_waiting")
    @classmethod
    def _room_for_a_batch(cls, value: int, info: ValidationInfo) -> int:
        """A batch that can never fit into the queue would get 429 for ever."""
        if value < info.data.get("max_queries", 0):
            raise ValueError(f"must be at least max_queries, {info.data['max_queries']}")
        return value

    @field_validator("read_keys", "write_keys", "admin_keys")
    @classmethod
    def _hashes(cls, value: list[str]) -> list[str]:
        """A key put here instead of its hash would let nobody in."""
        if not all(re.fullmatch(KEY_HASH, one) for one in value):
            raise ValueError("each must be sha256: and 64 hex digits, as `lurcher key` prints it")
        return value

    @field_validator("write_keys")
    @classmethod
    def _someone_may_write(cls, value: list[str], info: ValidationInfo) -> list[str]:
        """With read keys only, what writes would be open to everyone or to no one."""
        for name in ("feedback", "writable"):
            if (
                not (value or has_admin(info))
                and info.data.get(name)
                and info.data.get("read_keys")
            ):
                raise ValueError(f"{name} with read_keys needs a write key too")
        return value

    @field_validator("admin_folders")
    @classmethod
    def _someone_may_administer(cls, value: list[Path], info: ValidationInfo) -> list[Path]:
        """With keys for other things only, nobody could use it."""
        if value and info.data.get("encoder_only"):
            raise ValueError("is about collections, and encoder_only serves none")
        guarded = info.data.get("read_keys") or info.data.get("write_keys")
        if value and guarded and not has_admin(info):
            raise ValueError("with keys needs an admin key too: admin_keys, or one in keys_file")
        return value


class Settings(OperatorSettings, ServedSettings):
    """The settings of one server."""


# As pydantic reads them.
_TRUE = ("1", "true", "t", "yes", "y", "on")

# Callers' secrets may have been put here by mistake.
_SECRET = ("read_keys", "write_keys", "admin_keys")

_NO_BUNDLE = (
    "which bundle? Name a folder that `lurcher build` wrote: as the argument, in LURCHER_BUNDLE, or as "
    "bundle in the settings file; or name a folder of bundles as collections"
)


def load_settings(
    config: Path | None, flags: dict[str, Any], warn: Callable[[str], object] = warnings.warn
) -> Settings:
    """The settings from ``flags``, the environment and the TOML file ``config``; the first that has one wins.

    ``warn`` gets a line for each variable that is ignored. Raises FieldError for a setting that cannot be
    used, with its value and where that stood, or a file that cannot be read.
    """
    fields = Settings.model_fields
    kinds = {name: field.annotation for name, field in fields.items()}
    lists = [name for name, kind in kinds.items() if get_origin(kind) is list]
    paths = [name for name, kind in kinds.items() if kind is Path or Path in get_args(kind)]
    variables = from_environment(os.environ, fields, lists, warn, paths)
    file = Given({}, {}) if config is None else from_file(expanded("config", config), fields, paths)
    given = {**file.values, **variables.values, **flags}
    if str(given.get("encoder_only")).lower() in _TRUE:
        given.setdefault("bundle", DEFAULT_ENCODER)
    flagged = {name: f"in --{name.replace('_', '-')}" for name in flags if name != "bundle"}
    places = {**file.places, **variables.places, **flagged}
    if all(given.get(name) in (None, []) for name in ("bundle", "collections", "admin_folders")):
        raise FieldError("bundle", _NO_BUNDLE)
    for name in given.keys() & set(paths):
        is_list = isinstance(given[name], list | tuple)
        written = list(given[name]) if is_list else [given[name]]
        if any(not str(one).strip() for one in written):
            raise FieldError(name, f"must not be blank{_where(name, places)}")
        found = [expanded(name, one) if isinstance(one, str | Path) else one for one in written]
        given[name] = found if is_list else found[0]
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _fault(error, given, places) from error


def _fault(
    error: ValidationError, given: Mapping[str, Any], places: Mapping[str, str]
) -> FieldError:
    """The first thing that is wrong, with the value and where it stood."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if name in _SECRET or name not in given else shown(given[name])
    found = f"{value}{_where(name, places)}".strip()
    return FieldError(name, f"{found}: {reason}" if found else reason)


def _where(name: str, places: Mapping[str, str]) -> str:
    """Where the setting stood, after what is said of it; nothing where a caller gave it."""
    return f" {places[name]}" if name in places else ""
