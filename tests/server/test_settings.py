"""Settings: a flag wins over the environment, it over the file, the file over the default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "lurcher.example.toml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "lurcher.toml"
    file.write_text('bundle = "from-file"\nport = 1\nmax_top_k = 1\nthreads = 1\n')
    return file


def test_nearer_source_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LURCHER_PORT", "2")
    monkeypatch.setenv("LURCHER_MAX_TOP_K", "2")
    found = load_settings(config, {"port": 3})
    assert (found.port, found.max_top_k, found.threads) == (3, 2, 1)
    assert found.bundle == [config.parent / "from-file"]
    assert found.batch_size == 32


def test_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LURCHER_CORS_ORIGINS", '["https://a.example"]')
    assert load_settings(None, {"bundle": "b"}).cors_origins == ["https://a.example"]
    monkeypatch.setenv("LURCHER_CORS_ORIGINS", "https://a.example")
    with pytest.raises(FieldError, match=r"^cors_origins: .*JSON"):
        load_settings(None, {"bundle": "b"})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('bundle = "b"\nmax_topk = 3', "max_topk"),
        ('bundle = "b"\nport = 70000', "port"),
        ('bundle = "b"\nport = "many"', "port"),
        ('bundle = "b"\nlog_level = "loud"', "log_level"),
        ('bundle = "b"\nbatch_size = 0', "batch_size"),
        ('bundle = "b"\ncors_origins = "x"', "cors_origins"),
        ('bundle = "b"\nmax_waiting = 100', "max_waiting"),
        ('bundle = "b"\nfeedback_clients = 0', "feedback_clients"),
        ('bundle = "b"\nfeedback_client_weight = inf', "feedback_client_weight"),
        ("port = 1", "bundle"),
    ],
)
def test_wrong_setting_is_named(tmp_path: Path, text: str, field: str) -> None:
    file = tmp_path / "lurcher.toml"
    file.write_text(text)
    with pytest.raises(FieldError) as wrong:
        load_settings(file, {})
    assert wrong.value.field == field


@pytest.mark.parametrize("content", [b"port =", b"\xff\xfe", None])
def test_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "lurcher.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FieldError, match=re.escape(str(file))):
        load_settings(file, {"bundle": "b"})


def test_hash_of_a_key_is_needed_not_the_key() -> None:
    hashed = f"sha256:{'0a' * 32}"
    found = load_settings(None, {"bundle": "b", "read_keys": [hashed]})
    assert (found.read_keys, found.write_keys) == ([hashed], [])
    for wrong in ("a-key-itself", hashed.upper(), hashed[:-1], f"{hashed}\n", "0a" * 32):
        for name in ("read_keys", "write_keys"):
            with pytest.raises(FieldError, match="64 hex digits, as `lurcher key`") as caught:
                load_settings(None, {"bundle": "b", name: [hashed, wrong]})
            assert caught.value.field == name
            assert wrong not in str(caught.value)


def test_feedback_behind_read_keys_needs_a_write_key() -> None:
    given = {"bundle": "b", "feedback": "f.log", "read_keys": [f"sha256:{'0a' * 32}"]}
    with pytest.raises(FieldError, match=r"^write_keys: .*needs a write key"):
        load_settings(None, given)
    load_settings(None, {**given, "write_keys": given["read_keys"]})


def test_largest_batch_fits_into_an_empty_queue() -> None:
    with pytest.raises(FieldError, match="at least max_queries, 600"):
        load_settings(None, {"bundle": "b", "max_queries": 600, "max_waiting": 599})
    assert load_settings(None, {"bundle": "b", "max_queries": 600, "max_waiting": 600})


def example_values() -> dict[str, object]:
    """The example's settings, those without a default read from their commented line."""
    uncommented = re.sub(r"^# (\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.M)
    return tomllib.loads(uncommented)


def test_example_shows_every_setting_in_order_and_nothing_else() -> None:
    assert list(example_values()) == list(Settings.model_fields)


def test_example_holds_the_defaults() -> None:
    live = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    defaults = load_settings(None, {"bundle": "b"}).model_dump()
    assert live == {
        name: value for name, value in defaults.items() if value is not None and name != "bundle"
    }


def test_example_is_annotated_and_can_be_used() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for name in Settings.model_fields:
        at = next(i for i, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line))
        assert lines[at - 1].startswith("# "), name
    assert load_settings(EXAMPLE, {"bundle": "b"}) == load_settings(None, {"bundle": "b"})
