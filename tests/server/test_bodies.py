"""A body as it was sent becomes plain JSON, within the limit, or an error that says what is read."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from lurcher.server.bodies import coding_of, decoded, inflate, plain_json


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "raw deflate": raw_deflate}


@given(body=st.binary(max_size=500), form=st.sampled_from(sorted(COMPRESS)))
def test_what_was_compressed_comes_back(body: bytes, form: str) -> None:
    assert inflate(COMPRESS[form](body), form.split()[-1], 500) == body


@pytest.mark.parametrize("form", COMPRESS)
@pytest.mark.parametrize(("size", "fits"), [(999, True), (1_000, True), (1_001, False)])
def test_limit_counts_what_is_decompressed(form: str, size: int, fits: bool) -> None:
    packed = COMPRESS[form](b"x" * size)
    if fits:
        assert len(inflate(packed, form.split()[-1], 1_000)) == size
    else:
        with pytest.raises(HTTPException) as error:
            inflate(packed, form.split()[-1], 1_000)
        assert error.value.status_code == 413


@given(raw=st.binary(max_size=200), coding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_decompress_or_are_refused(raw: bytes, coding: str) -> None:
    try:
        status, found = 200, inflate(raw, coding, 1_000)
    except HTTPException as error:
        status, found = error.status_code, b""
    assert status in (200, 400, 413)
    assert len(found) <= 1_000


@pytest.mark.parametrize("form", COMPRESS)
def test_stream_that_ends_early_or_goes_on_is_refused(form: str) -> None:
    packed = COMPRESS[form](b'{"query": "cat"}')
    for wrong, says in ((packed[:-3], "ends before"), (packed + packed, "goes on")):
        with pytest.raises(HTTPException, match=says) as error:
            inflate(wrong, form.split()[-1], 1_000)
        assert error.value.status_code == 400


@pytest.mark.parametrize(
    ("sent", "coding"),
    [
        ({}, ""),
        ({"content-encoding": ""}, ""),
        ({"content-encoding": "identity"}, ""),
        ({"content-encoding": "GZIP"}, "gzip"),
        ({"content-encoding": "x-gzip"}, "gzip"),
        ({"content-encoding": "identity, deflate"}, "deflate"),
    ],
)
def test_content_encoding_is_read(sent: dict[str, str], coding: str) -> None:
    assert coding_of(Headers(sent)) == coding


@pytest.mark.parametrize("sent", ["br", "zstd", "gzip, gzip", "gzip, br", "x" * 5_000])
def test_other_content_encoding_says_which_are_read(sent: str) -> None:
    with pytest.raises(HTTPException, match="gzip and deflate") as error:
        coding_of(Headers({"content-encoding": sent}))
    assert error.value.status_code == 415
    assert error.value.headers == {"Accept-Encoding": "gzip, deflate"}
    assert len(error.value.detail) < 300


JSON_TYPES = [
    "application/json",
    "Application/JSON; charset=UTF-8",
    "application/json;charset=utf8",
    'application/json; charset="utf-16"',
    "application/json; charset=US-ASCII",
    "application/vnd.api+json",
    "text/json",
    "",
    "application/x-www-form-urlencoded",
]


@pytest.mark.parametrize("sent", JSON_TYPES)
def test_json_by_its_names_and_by_curl_is_read(sent: str) -> None:
    assert plain_json(Headers({"content-type": sent} if sent else {})) == ""


@pytest.mark.parametrize(
    "sent", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "json", "text/x+json"]
)  # fmt: skip
def test_other_type_says_what_to_send(sent: str) -> None:
    with pytest.raises(HTTPException, match="Content-Type: application/json") as error:
        plain_json(Headers({"content-type": sent}))
    assert error.value.status_code == 415
    assert sent.partition(";")[0] in error.value.detail


@pytest.mark.parametrize("sent", [*JSON_TYPES[:1], *JSON_TYPES[-2:]])
def test_page_of_another_site_cannot_do_without_the_type(sent: str) -> None:
    """A browser sends `application/json` to another site only where that site allows it."""
    headers = Headers({"origin": "https://evil.example", "content-type": sent})
    if "json" in sent:
        assert plain_json(headers) == ""
    else:
        with pytest.raises(HTTPException) as error:
            plain_json(headers)
        assert error.value.status_code == 415


@pytest.mark.parametrize(("charset", "sign"), [("iso-8859-1", "é"), ("windows-1252", "€")])
def test_charset_of_one_byte_is_read_as_declared(charset: str, sign: str) -> None:
    name = plain_json(Headers({"content-type": f"application/json; charset={charset}"}))
    assert decoded(sign.encode(charset), "", name, 100) == sign.encode()


def test_byte_that_a_charset_lacks_is_named() -> None:
    with pytest.raises(HTTPException, match="cp1252 at byte 2") as error:
        decoded(b"ab\x81", "", "cp1252", 100)
    assert error.value.status_code == 400


@pytest.mark.parametrize("charset", ["idna", "ebcdic", "rot13", "x" * 5_000])
def test_other_charset_is_refused(charset: str) -> None:
    with pytest.raises(HTTPException, match="UTF-8 is") as error:
        plain_json(Headers({"content-type": f"application/json; charset={charset}"}))
    assert error.value.status_code == 415
    assert len(error.value.detail) < 300
