from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from lurcher.index_builder.corpus import ReadOptions, Record, read_corpus


def read(folder: Path, mail: EmailMessage | bytes, label: str | None = None) -> Record:
    path = folder / "a.eml"
    path.write_bytes(mail if isinstance(mail, bytes) else mail.as_bytes())
    (record,) = read_corpus(path, reading=ReadOptions(label))
    return record


def text(record: Record) -> str:
    assert record.document is not None, record.reason
    return record.document.text.strip()


def mail(subject: str = "Lunch") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Zoë <zoe@example.org>"
    message["To"] = "a@example.org, b@example.org"
    message["Date"] = "Tue, 02 Jan 2024 03:04:05 +0100"
    return message


def test_headers_become_title_and_metadata(tmp_path: Path) -> None:
    message = mail("Café – lunch for everyone at the very long table beside the window, 12:30")
    message.set_content("Hello, żółć.\n")
    document = read(tmp_path, message).document
    assert document is not None
    assert document.title == message["Subject"]
    assert document.text == "Hello, żółć.\n"
    assert document.metadata == {
        "from": "Zoë <zoe@example.org>",
        "to": "a@example.org, b@example.org",
        "date": "2024-01-02T03:04:05+01:00",
        "source": "a.eml",
    }


def test_of_alternatives_the_plain_text_is_read(tmp_path: Path) -> None:
    message = mail()
    message.set_content("the plain text")
    message.add_alternative("<p>the page</p>", subtype="html")
    message.add_attachment("an attachment", filename="a.txt")
    assert text(read(tmp_path, message)) == "the plain text"


def test_html_is_read_where_the_plain_text_is_blank(tmp_path: Path) -> None:
    message = mail()
    message.set_content(" \n")
    message.add_alternative("<title>t</title><p>the page</p>", subtype="html")
    assert text(read(tmp_path, message)) == "the page"


def test_a_forwarded_mail_is_read(tmp_path: Path) -> None:
    inner = mail()
    inner.set_content("the first")
    message = mail("Fwd")
    message.set_content("see below")
    message.add_attachment(inner)
    assert text(read(tmp_path, message)) == "see below\n\n\nthe first"


@pytest.mark.parametrize(
    ("parameter", "body", "label", "expected"),
    [
        (b"; charset=latin1", b"\x93caf\xe9\x94", None, "“café”"),
        (b"; charset=us-ascii", "é".encode(), None, "é"),
        (b"", "é".encode(), None, "é"),
        (b"", b"\xe9", "latin1", "é"),
        (b"; charset=klingon", "é".encode(), None, "é"),
    ],
)
def test_encodings_of_the_text(
    tmp_path: Path, parameter: bytes, body: bytes, label: str | None, expected: str
) -> None:
    raw = b"Subject: s\nContent-Type: text/plain" + parameter + b"\n\n" + body
    assert text(read(tmp_path, raw, label)) == expected


def test_a_page_in_a_mail_may_declare_its_own(tmp_path: Path) -> None:
    raw = b"Subject: s\nContent-Type: text/html\n\n<meta charset=gbk>\xc4\xe3"
    assert text(read(tmp_path, raw)) == "你"


@pytest.mark.parametrize(
    ("header", "title"),
    [
        (b"=?iso-8859-1?q?caf=E9_=93?= x", "café “ x"),
        (b"=?utf-8?b?w6k=?=\n =?utf-8?b?w6k=?=", "éé"),
        ("é".encode(), "é"),
        (b"=?utf-8?b?w6k", "=?utf-8?b?w6k"),
        (b"=?klingon?q?a?=", "a"),
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        (b"a" * 20_000, "a" * 20_000),
    ],
)
def test_headers_that_are_encoded_or_broken(tmp_path: Path, header: bytes, title: str) -> None:
    document = read(tmp_path, b"Subject: " + header + b"\n\nx").document
    assert document is not None
    assert document.title == title


def test_a_date_that_is_none_stays_as_it_stands(tmp_path: Path) -> None:
    document = read(tmp_path, b"Subject: s\nDate: some  time\n\nx").document
    assert document is not None
    assert document.metadata["date"] == "some time"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"just a text", "not a mail: it has no From, To, Cc, Date or Subject"),
        (
            b"Subject: s\nContent-Type: image/png\n\nx",
            "the mail has no part that is text; attachments are not read",
        ),
        (
            b"Subject: s\nContent-Type: text/plain" + b";" * 20_000 + b"\n\nx",
            "a Content-Type or Content-Disposition has more than 16,384 bytes",
        ),
        (
            b"Subject: s\n" + b"Content-Type: message/rfc822\n\n" * 5_000,
            "parts of the mail are nested too deep",
        ),
    ],
)  # fmt: skip
def test_mails_that_cannot_be_read(tmp_path: Path, raw: bytes, reason: str) -> None:
    assert read(tmp_path, raw).reason == reason
