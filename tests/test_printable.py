"""No text of a document controls a terminal, and JSON keeps every character."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from lurcher.printable import printable, printable_json

# Everything that Unicode counts as a control character, and what reorders text (UAX #9).
CONTROL = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) == "Cc"]
REORDER = [c for c in map(chr, range(0x2000, 0x2100)) if unicodedata.bidirectional(c) in {
    "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
}]  # fmt: skip
COMMANDS = set(CONTROL) | set(REORDER)


def test_commands_are_replaced_and_letters_are_kept() -> None:
    assert len(REORDER) == 9
    for sign in COMMANDS - {"\t", "\n"}:
        assert printable(f"a{sign}b") == "a\N{REPLACEMENT CHARACTER}b"
        assert printable(f"a{sign}b", lines=True) == "a\N{REPLACEMENT CHARACTER}b"
    assert printable("a\tb\nc\u2028d") == "a b c d"
    assert printable("a\tb\nc", lines=True) == "a\tb\nc"
    # Marks and joiners that Persian, Hebrew and emoji are written with.
    kept = "می‌خواهم שלום\u200e 👩‍🌾 🏴󠁧󠁢󠁳󠁣󠁴󠁿 e\u0301"
    assert printable(kept) == kept


@given(st.text(st.sampled_from([*COMMANDS, *'aé"\\\u2028长👩'])), st.booleans())
def test_json_keeps_what_it_escapes(text: str, unicode: bool) -> None:
    written = printable_json({"text": text}, unicode)
    assert json.loads(written) == {"text": text}
    assert not COMMANDS & set(written)
    assert unicode or written.isascii()
