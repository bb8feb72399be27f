"""Texts that were encoded already: what a writer leaves for followers, and for itself after a restart.

What a passage is encoded to depends on its text and the bundle's models and coders alone, so it is known by
these. A payload of ``bundle.follow_file`` has some passages: NumPy arrays, one after the other, as
``numpy.save`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Passage
from lurcher.index_builder.edit.encode import Encoded, States, joined
from lurcher.index_builder.stages.encode_passages import Kept
from lurcher.models.tokens.coder import Coded

_Array = npt.NDArray[Any]

_DIGEST = 16  # bytes
_TOGETHER = 16  # passages that are encoded, and told, at once


class Encodes(Protocol):
    """What encodes passages."""

    def encode(self, passages: Sequence[Passage], sources: Sequence[bytes | None]) -> Encoded:
        """``passages``, whose documents have the hashes ``sources``, encoded."""


LoadEncoder = Callable[[Bundle], Encodes]


class EncodedTexts:
    """What texts are encoded to, by their digests."""

    def __init__(self) -> None:
        self._found: dict[bytes, Encoded] = {}

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._found)

    def add(self, encoded: Encoded, key: bytes) -> None:
        """Keep what the texts of ``encoded`` are encoded to, in a bundle of this ``key``."""
        for place, passage in enumerate(encoded.passages):
            self._found[_digest(passage, key)] = encoded.take([place])

    def load(self, payload: bytes) -> None:
        """Keep what ``payload`` has. Raises ValueError where it is none."""
        self._found |= _unpacked(payload)

    def keep(self, passages: Iterable[Passage], key: bytes) -> None:
        """Forget all but the texts of ``passages``."""
        wanted = {_digest(one, key) for one in passages}
        self._found = {name: one for name, one in self._found.items() if name in wanted}

    def of(self, passage: Passage, source: bytes | None, key: bytes) -> Encoded | None:
        """``passage`` encoded, if its text is known."""
        found = self._found.get(_digest(passage, key))
        if found is None:
            return None
        return Encoded((passage,), (source,), found.vectors, found.kept, found.states)


class SharedEncoder:
    """Encodes what is not known yet, and tells what it has encoded."""

    def __init__(
        self, known: EncodedTexts, key: bytes, load: Callable[[], Encodes],
        tell: Callable[[Encoded, bytes], object],
    ) -> None:  # fmt: skip
        """Encode for a bundle of this ``key``.

        ``load`` gives what encodes, once that is needed; ``tell`` is called with all that it encodes, and
        the key.
        """
        self._known, self._key, self._load, self._tell = known, key, load, tell
        self._encoder: Encodes | None = None

    def load(self) -> Encodes:
        """What encodes, loaded if it is not yet. Raises ModelError, FieldError where nothing can."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    def encode(self, passages: Sequence[Passage], sources: Sequence[bytes | None]) -> Encoded:
        """``passages``, one or more, encoded. Raises ModelError, FieldError where they cannot be."""
        found = {
            place: one
            for place, (passage, source) in enumerate(zip(passages, sources, strict=True))
            if (one := self._known.of(passage, source, self._key)) is not None
        }
        new = [place for place in range(len(passages)) if place not in found]
        for first in range(0, len(new), _TOGETHER):
            some = new[first : first + _TOGETHER]
            made = self.load().encode([passages[i] for i in some], [sources[i] for i in some])
            self._tell(made, self._key)
            found |= {place: made.take([i]) for i, place in enumerate(some)}
        return joined([found[place] for place in range(len(passages))])


def key_of(manifest: Manifest) -> bytes:
    """What tells the models and coders of a bundle from others'."""
    decide = ("encoder/", "tokens/", "reading/")
    hashes = [f"{k} {v.sha256}" for k, v in sorted(manifest.files.items()) if k.startswith(decide)]
    return blake2b("\n".join(hashes).encode(), digest_size=_DIGEST).digest()


def _digest(passage: Passage, key: bytes) -> bytes:
    return blake2b(passage.content.encode(), digest_size=_DIGEST, key=key).digest()


def packed(encoded: Encoded, key: bytes) -> bytes:
    """``encoded``, for a bundle of this ``key``, as a payload; empty where nothing of it was encoded."""
    if encoded.vectors is None:
        return b""
    keys = np.frombuffer(b"".join(_digest(one, key) for one in encoded.passages), np.uint8)
    coded = [one.coded for one in encoded.kept]
    reading = [one.reading for one in encoded.kept if one.reading is not None]
    has = np.array([bool(coded), bool(reading), bool(encoded.states)])
    arrays: list[_Array] = [keys.reshape(-1, _DIGEST), encoded.vectors, has]
    if coded:
        arrays += [
            np.array([[len(one.codes), one.tokens] for one in coded], np.int64),
            np.concatenate([one.codes for one in coded]),
            np.concatenate([one.positions for one in coded]),
        ]
    if reading:
        arrays += [np.array([len(one) for one in reading], np.int64), np.concatenate(reading)]
    if encoded.states:
        arrays += [
            np.array([[len(one.packed), one.truncated] for one in encoded.states], np.int64),
            np.concatenate([one.packed for one in encoded.states]),
        ]
    made = BytesIO()
    for array in arrays:
        np.lib.format.write_array(made, array, allow_pickle=False)
    return made.getvalue()


def _unpacked(payload: bytes) -> dict[bytes, Encoded]:
    """What ``packed`` made a payload of, by digest, without texts. Raises ValueError."""
    stream, arrays = BytesIO(payload), list[_Array]()
    while stream.tell() < len(payload):
        arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
    keys, vectors, (has_codes, has_reading, has_states), *rest = arrays
    rest = rest[::-1]  # to take from the end
    kept: list[Kept] = []
    states: list[States] = []
    if has_codes:
        counts, codes, positions = rest.pop(), rest.pop(), rest.pop()
        read = _cut(rest.pop(), rest.pop()) if has_reading else [None] * len(counts)
        lengths = counts[:, 0]
        columns = zip(
            _cut(lengths, codes), _cut(lengths, positions), counts[:, 1], read, strict=True
        )
        kept = [Kept(Coded(one, place, int(tokens)), own) for one, place, tokens, own in columns]
    if has_states:
        counts, flat = rest.pop(), rest.pop()
        packed_ = zip(_cut(counts[:, 0], flat), counts[:, 1], strict=True)
        states = [States(one, bool(truncated)) for one, truncated in packed_]
    return {
        keys[i].tobytes(): Encoded(
            (), (), vectors[i : i + 1], tuple(kept[i : i + 1]), tuple(states[i : i + 1])
        )
        for i in range(len(keys))
    }


def _cut(lengths: _Array, flat: _Array) -> list[_Array]:
    """``flat`` in parts of ``lengths``."""
    return np.split(flat, np.cumsum(lengths)[:-1])
