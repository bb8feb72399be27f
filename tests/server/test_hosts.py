"""The names under which a server may be called, and what the setting `allowed_hosts` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.hosts import is_allowed, is_loopback
from lurcher.server.settings import load_settings


@pytest.mark.parametrize(
    ("host", "hosts", "allowed"),
    [("a.example", None, True), ("", {"a.example"}, True), ("A.example:80", {"a.example"}, True),
     ("b.example", {"a.example"}, False), ("10.0.0.1", set(), True), ("[::1]", set(), True),
     ("[fe80::1]:8080", set(), True), ("10.0.0.1.evil", set(), False)],
)  # fmt: skip
def test_which_names_are_allowed(host: str, hosts: set[str] | None, allowed: bool) -> None:
    assert is_allowed(host, hosts) is allowed


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("box", False)],
)
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "name",
    [
        "https://search.example.org",
        "example.org:8080",
        "*.example.org",
        "",
        "a b",
        "bücher.example",
    ],
)
def test_a_name_that_no_request_can_have_is_an_error(name: str) -> None:
    flags = {"bundle": Path("x"), "allowed_hosts": ["example.org", name]}
    with pytest.raises(FieldError, match=r"allowed_hosts.*no host name"):
        load_settings(None, flags)


def test_names_and_the_star_are_taken() -> None:
    names = ["Example.org.", "a_b-c", "*", "10.0.0.1"]
    taken = load_settings(None, {"bundle": Path("x"), "allowed_hosts": names}).allowed_hosts
    assert taken == ["Example.org", "a_b-c", "*", "10.0.0.1"]
