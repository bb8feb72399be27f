"""A key that asks too often is told so, and by how much; the others do not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.key_ring import KeyRing
from lurcher.server.keys import key_hash
from lurcher.server.rates import Rate
from lurcher.server.settings import load_settings
from tests.server.serving import Client, Reply, assert_problem, running, settings

SLOW, FAST, ADMIN = "a-slow-key", "a-fast-key", "an-admin-key"
KEYS = f"""
[[key]]
name = "the slow one"
hash = "{key_hash(SLOW)}"
may = "read"
rate = 0.01
burst = 2
[[key]]
hash = "{key_hash(FAST)}"
may = "read"
"""


@pytest.fixture(scope="module")
def limited(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    file = tmp_path_factory.mktemp("rates") / "keys.toml"
    file.write_text(KEYS)
    with running(settings(small_bundle, keys_file=file)) as client:
        yield client


def ask(client: Client, key: str) -> Reply:
    return client.post("/v1/search", {"query": "a cat"}, X_API_Key=key)


def test_key_beyond_its_rate_is_told_when_to_come_again(limited: Client) -> None:
    assert [ask(limited, SLOW).headers["ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    refused = ask(limited, SLOW)
    problem = assert_problem(refused, 429)
    assert "0.01 requests a second, 2 at once" in problem["detail"]
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert refused.headers["ratelimit-limit"] == "2"
    others = limited.post("/rerank", {"query": "q", "texts": ["t"]}, Authorization=f"Bearer {SLOW}")
    assert (others.status, others.headers["ratelimit-remaining"]) == (429, "0")
    unlimited = ask(limited, FAST)
    assert unlimited.status == 200
    assert not [name for name in unlimited.headers if name.startswith("ratelimit")]


def test_rate_of_the_settings_is_for_keys_that_have_none(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(KEYS)
    ring = KeyRing(
        load_settings(
            None,
            {"bundle": "b", "keys_file": file, "admin_keys": [key_hash(ADMIN)], "key_rate": 2.5},
        )
    )
    of = {key: ring.rate_of(ring.of(key_hash(key))) for key in (SLOW, FAST, ADMIN)}
    assert of == {SLOW: Rate(0.01, 2), FAST: Rate(2.5, 3), ADMIN: Rate(2.5, 3)}
    file.write_text(KEYS.replace("rate = 0.01", "rate = 5"))
    ring.read_again()
    assert ring.rate_of(ring.of(key_hash(SLOW))) == Rate(5.0, 2)
    file.write_text(KEYS.replace("rate = 0.01", ""))
    with pytest.raises(FieldError, match=r"key\.0\.burst: .*needs a rate"):
        ring.read_again()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key_rate": 5}, "^key_rate: 5 .*is by API key, and there is none in keys_file"),
        ({"key_burst": 5, "read_keys": [key_hash(FAST)]}, "^key_burst: 5 .*needs a key_rate"),
    ],
)
def test_rates_that_limit_nobody_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        load_settings(None, {"bundle": "b", **given})
