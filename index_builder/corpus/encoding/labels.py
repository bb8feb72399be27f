"""The encodings of texts: labels as browsers read them (WHATWG Encoding), and decoding by them.

Most labels mean what Python takes them to mean; those that do not are listed. So ``latin1`` and ``ascii``
are windows-1252, ``gb2312`` is gb18030 and ``shift_jis`` is what Windows writes.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

# Encoding by encoding: its name, Python's codec, and its labels besides the name.
# https://encoding.spec.whatwg.org/#names-and-labels
_TABLE = """
utf-8 utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8
ibm866 cp866 866 cp866 csibm866
iso-8859-2 iso8859-2 csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso-8859-3 iso8859-3 csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso-8859-4 iso8859-4 csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso-8859-5 iso8859-5 csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso-8859-6 iso8859-6 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e
    iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso-8859-7 iso8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7
    iso_8859-7:1987 sun_eu_greek
iso-8859-8 iso8859-8 csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598
    iso_8859-8 iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical
iso-8859-10 iso8859-10 csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13 iso8859-13 iso8859-13 iso885913
iso-8859-14 iso8859-14 iso8859-14 iso885914
iso-8859-15 iso8859-15 csisolatin9 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16 iso8859-16
koi8-r koi8-r cskoi8r koi koi8 koi8_r
koi8-u koi8-u koi8-ru
macintosh mac-roman csmacintosh mac x-mac-roman
x-mac-cyrillic mac-cyrillic x-mac-ukrainian
windows-874 cp874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620
windows-1250 cp1250 cp1250 x-cp1250
windows-1251 cp1251 cp1251 x-cp1251
windows-1252 cp1252 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1
    iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii x-cp1252 x-user-defined
windows-1253 cp1253 cp1253 x-cp1253
windows-1254 cp1254 cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989
    l5 latin5 x-cp1254
windows-1255 cp1255 cp1255 x-cp1255
windows-1256 cp1256 cp1256 x-cp1256
windows-1257 cp1257 cp1257 x-cp1257
windows-1258 cp1258 cp1258 x-cp1258
gb18030 gb18030 chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk
big5 big5hkscs big5-hkscs cn-big5 csbig5 x-x-big5
euc-jp euc-jis-2004 cseucpkdfmtjapanese x-euc-jp
iso-2022-jp iso2022-jp-ext csiso2022jp
shift_jis cp932 csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
euc-kr cp949 cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601
    windows-949
utf-16be utf-16-be unicodefffe
utf-16le utf-16-le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16
"""


class Encoding(NamedTuple):
    """An encoding: its name, and the name of Python's codec for it."""

    name: str
    codec: str


def _labels() -> dict[str, Encoding]:
    found: dict[str, Encoding] = {}
    for row in _TABLE.replace("\n    ", " ").strip().splitlines():
        name, codec, *labels = row.split()
        found |= dict.fromkeys([name, *labels], Encoding(name, codec))
    return found


_LABELS = _labels()
UTF8 = _LABELS["utf-8"]
_MARKS = [
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, _LABELS["utf-16le"]),
    (codecs.BOM_UTF16_BE, _LABELS["utf-16be"]),
]
MARK_BYTES = max(len(mark) for mark, _ in _MARKS)

# Name of the error handler below, for ``decode`` of any codec.
BAD_BYTES = "lurcher-bad-bytes"


def encoding_of(label: str) -> Encoding | None:
    """The encoding that browsers take ``label`` for; None if they know no such label."""
    return _LABELS.get(label.strip("\t\n\f\r ").lower())


def encoding_of_mark(start: bytes) -> Encoding | None:
    """The encoding that a byte order mark at the start of a file tells, if there is one."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def fault(encoding: Encoding, place: str) -> str:
    """Why bytes cannot be used that are not valid in ``encoding`` at ``place``."""
    hint = "; if it has another encoding, give --encoding" if encoding == UTF8 else ""
    return f"not valid {encoding.name.upper()} at {place}{hint}"


def _bad_bytes(error: UnicodeError) -> tuple[str, int]:
    """A lone surrogate in place of what is not valid, so that it is found later; and where to go on."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start]
    if error.encoding == "charmap" and 0x80 <= bad < 0xA0:
        return chr(bad), error.start + 1  # what Windows leaves undefined is a control in browsers
    return chr(0xDC00 + bad) if bad >= 0x80 else "\udcff", error.end


codecs.register_error(BAD_BYTES, _bad_bytes)
