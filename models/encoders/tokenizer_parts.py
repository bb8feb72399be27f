"""What a ``tokenizer.json`` may be made of: parts whose work grows with the text and with nothing else.

The file is a program for the library that reads it, and a bundle may be a stranger's. A rule that replaces a
letter by a megabyte, a regular expression that goes back and forth, or words without a limit would hold up
every query; what is not known here is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lurcher.errors import ModelError

_MOST_BYTES = 64 << 20
_MOST_PARTS = 64
_MOST_ADDED = 10_000  # tokens beside the vocabulary
_MOST_LETTERS = 256  # of one of these
_LONGEST_WORD = 1_000  # letters that are compared with the vocabulary; WordPiece takes their square
_LONGEST_REPLACEMENT = 16
_MOST_IN_TEMPLATE = 32

_MODELS = {"WordPiece", "BPE", "Unigram", "WordLevel"}
_PARTS = {
    "normalizer": {
        "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend",
        "Replace", "Sequence", "Strip", "StripAccents", "ByteLevel",
    },
    "pre_tokenizer": {
        "BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Sequence",
        "UnicodeScripts", "Whitespace", "WhitespaceSplit",
    },
    "post_processor": {
        "BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing",
    },
    "decoder": {
        "BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence",
        "Strip", "WordPiece",
    },
}  # fmt: skip
# Regular expressions that SentencePiece's models come with.
_PATTERNS = {" {2,}", "\\s+"}


def check_tokenizer(file: Path) -> None:
    """Raise ModelError where ``file`` is no tokeniser, or has a part that is not known to be harmless."""
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise ModelError(f"{file}: {size} bytes, at most {_MOST_BYTES} are read")
        found = json.loads(file.read_bytes())
        reason = _fault(found)
    except (OSError, ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(f"{file}: not a tokenizer: {error}") from error
    if reason is not None:
        raise ModelError(f"{file}: not a tokenizer that is read here: {reason}")


def _fault(found: Any) -> str | None:
    """What of a tokeniser's description is not read; None if all of it is."""
    model = found["model"]
    # WordPiece's was not always written.
    kind = model.get("type", "WordPiece")
    if kind not in _MODELS:
        return f"model: {kind!r}"
    if model.get("max_input_chars_per_word", 0) > _LONGEST_WORD:
        return f"model: max_input_chars_per_word is more than {_LONGEST_WORD}"
    added = found.get("added_tokens") or []
    if len(added) > _MOST_ADDED or any(len(one["content"]) > _MOST_LETTERS for one in added):
        return f"added_tokens: more than {_MOST_ADDED}, or one of more than {_MOST_LETTERS} letters"
    for place, known in _PARTS.items():
        parts = list(_parts(found.get(place)))
        if len(parts) > _MOST_PARTS:
            return f"{place}: more than {_MOST_PARTS} parts"
        for part in parts:
            if part.get("type") not in known:
                return f"{place}: {part.get('type')!r}"
            if (reason := _fault_of(part)) is not None:
                return f"{place}: {part['type']}: {reason}"
    return None


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """``part`` and all that it is made of."""
    if part is None:
        return
    yield part
    for name in ("normalizers", "pretokenizers", "processors", "decoders"):
        for one in part.get(name) or []:
            yield from _parts(one)


def _fault_of(part: dict[str, Any]) -> str | None:
    """What of one part is not read; None if all of it is."""
    pattern = part.get("pattern")
    if isinstance(pattern, dict) and pattern.get("Regex", " {2,}") not in _PATTERNS:
        return f"the regular expression {str(pattern['Regex'])[:100]!r}"
    for name in ("content", "prepend"):
        if len(part.get(name) or "") > _LONGEST_REPLACEMENT:
            return f"{name} has more than {_LONGEST_REPLACEMENT} letters"
    special = part.get("special_tokens") or {}
    pieces = [
        part.get("single"),
        part.get("pair"),
        special,
        *(one["ids"] for one in special.values()),
    ]
    if any(len(one or ()) > _MOST_IN_TEMPLATE for one in pieces):
        return f"more than {_MOST_IN_TEMPLATE} pieces"
    return None
