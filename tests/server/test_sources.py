"""Settings as they come: empty and odd variables, service links, files with marks and paths, errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.settings import Settings, load_settings
from lurcher.server.sources import from_environment, from_file

BUNDLE = {"bundle": "b"}
NAMES = list(Settings.model_fields)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "lurcher.toml"


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.mark.parametrize("empty", ["", " ", "\r\n"])
def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    unset = load_settings(None, BUNDLE)
    for name in NAMES:
        monkeypatch.setenv(f"LURCHER_{name.upper()}", empty)
    assert load_settings(None, BUNDLE) == unset


def test_service_link_is_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, config: Path, warned: list[str]
) -> None:
    config.write_text("port = 8099\n")
    for name, value in {
        "PORT": "tcp://10.0.12.7:9090", "SERVICE_HOST": "10.0.12.7", "SERVICE_PORT": "9090",
        "SERVICE_PORT_HTTP": "9090", "PORT_9090_TCP": "tcp://10.0.12.7:9090",
        "PORT_9090_TCP_PROTO": "tcp", "PORT_9090_TCP_PORT": "9090", "PORT_9090_TCP_ADDR": "10.0.12.7",
        "HOST_SERVICE_HOST": "10.0.12.8", "HOST_PORT": "tcp://10.0.12.8:1", "HOST_PORT_1_TCP_ADDR": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LURCHER_{name}", value)
    assert load_settings(config, BUNDLE, warned.append).port == 8099
    assert load_settings(None, BUNDLE, warned.append).port == 8080
    assert load_settings(None, {**BUNDLE, "port": 1}, warned.append).port == 1
    assert len(warned) == 3
    assert warned[0].startswith("LURCHER_PORT='tcp://10.0.12.7:9090' is ignored: ")


@pytest.mark.parametrize("scheme", ["udp", "sctp"])
def test_service_link_of_any_protocol_is_ignored(
    monkeypatch: pytest.MonkeyPatch, scheme: str, warned: list[str]
) -> None:
    monkeypatch.setenv("LURCHER_PORT", f"{scheme}://10.0.12.7:9090")
    assert load_settings(None, BUNDLE, warned.append).port == 8080
    assert len(warned) == 1


def test_variable_of_no_setting_is_warned_of(warned: list[str]) -> None:
    found = from_environment(
        {"LURCHER_READ_KEY": "k", "LURCHER_BUILD": "7", "OTHER": "x"}, NAMES, [], warned.append
    )
    assert found.values == {}
    assert warned == [
        "LURCHER_READ_KEY is ignored: there is no such setting; did you mean read_keys?",
        "LURCHER_BUILD is ignored: there is no such setting",
    ]


def test_name_of_a_variable_may_be_in_any_case(warned: list[str]) -> None:
    given = {"lurcher_port": "1", "LURCHER_PORT": "2", "Lurcher_Host": "::1"}
    assert from_environment(given, NAMES, [], warned.append).values == {"port": "2", "host": "::1"}


@pytest.mark.parametrize("written", ["WARNING", "Warning", " warning ", "WARN"])
def test_words_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("LURCHER_LOG_LEVEL", written)
    monkeypatch.setenv("LURCHER_LOG_FORMAT", "JSON")
    monkeypatch.setenv("LURCHER_ENGINE", "OnnxRuntime")
    found = load_settings(None, BUNDLE)
    assert (found.log_level, found.log_format) == ("warning", "json")
    assert found.engine == "onnxruntime"


def test_home_is_known_in_every_source(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config.write_text('bundle = "~/docs.lurcher"\nfeedback = "~/f.log"\n')
    monkeypatch.setenv("LURCHER_FEEDBACK", "~/g.log")
    found = load_settings(config, {})
    assert found.bundle == [Path("/home/somebody/docs.lurcher")]
    assert found.feedback == Path("/home/somebody/g.log")
    given = load_settings(None, {"bundle": Path("~/c.lurcher")})
    assert given.bundle == [Path("/home/somebody/c.lurcher")]
    with pytest.raises(FieldError, match=r"^bundle: '~nobody-of-that-name/x': "):
        load_settings(None, {"bundle": "~nobody-of-that-name/x"})


def test_path_in_a_file_is_relative_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: Path
) -> None:
    monkeypatch.chdir("/")
    config.write_text('bundle = "../docs.lurcher"\nfeedback = "/var/f.log"\n')
    monkeypatch.setenv("LURCHER_FEEDBACK", "here.log")
    found = load_settings(config, {})
    assert [one.resolve() for one in found.bundle] == [tmp_path.parent / "docs.lurcher"]
    assert found.feedback == Path("here.log")
    monkeypatch.delenv("LURCHER_FEEDBACK")
    assert load_settings(config, {}).feedback == Path("/var/f.log")


def test_file_may_begin_with_a_mark_and_end_lines_as_windows_does(config: Path) -> None:
    config.write_bytes(b'\xef\xbb\xbfport = 18151\r\nhost = "::"\r\n')
    found = load_settings(config, BUNDLE)
    assert (found.port, found.host) == (18151, "::")
    config.write_bytes("port = 1".encode("utf-16"))
    with pytest.raises(FieldError, match="is not TOML: it is not UTF-8"):
        load_settings(config, BUNDLE)


def test_error_names_value_and_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PORT", "many"), ("THREADS", "0"), ("CHECK_HASHES", "perhaps")):
        with monkeypatch.context() as patched:
            patched.setenv(f"LURCHER_{name}", value)
            with pytest.raises(FieldError) as wrong:
                load_settings(None, BUNDLE)
            assert str(wrong.value).startswith(f"{name.lower()}: '{value}' in LURCHER_{name}: ")
    monkeypatch.setenv("LURCHER_CORS_ORIGINS", "https://a.example")
    with pytest.raises(
        FieldError, match=r"^cors_origins: its value in LURCHER_CORS_ORIGINS .* JSON"
    ):
        load_settings(None, BUNDLE)


def test_error_names_value_and_file(config: Path) -> None:
    for text, said in {
        "port = 70000": "port: 70000 in {}: ",
        "cors_origins = [1]": "cors_origins: [1] in {}: ",
        'log_level = "loud"': "log_level: 'loud' in {}: ",
        'feedback = ""': "feedback: must not be blank in {}",
        "max_topk = 3": "max_topk: in {}: there is no such setting; did you mean max_top_k?",
        "[server]\nport = 1": "server: in {}: there is no such setting",
    }.items():
        config.write_text(text)
        with pytest.raises(FieldError) as wrong:
            load_settings(config, BUNDLE)
        assert str(wrong.value).startswith(said.format(config))


def test_error_names_value_and_flag() -> None:
    with pytest.raises(FieldError, match=r"^max_top_k: -1 in --max-top-k: "):
        load_settings(None, {**BUNDLE, "max_top_k": -1})


def test_long_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LURCHER_LOG_LEVEL", "x" * 10_000)
    with pytest.raises(FieldError) as wrong:
        load_settings(None, BUNDLE)
    assert len(str(wrong.value)) < 250


def test_missing_bundle_is_asked_for() -> None:
    with pytest.raises(FieldError, match=r"^bundle: which bundle\? .*LURCHER_BUNDLE"):
        load_settings(None, {})


def test_address_may_be_in_brackets_but_not_blank() -> None:
    assert load_settings(None, {**BUNDLE, "host": "[::1]"}).host == "::1"
    with pytest.raises(FieldError, match=r"^host: .*must not be blank"):
        load_settings(None, {**BUNDLE, "host": " "})


def test_config_that_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match=r"^config: cannot read "):
        from_file(tmp_path, NAMES, [])
