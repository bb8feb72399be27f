"""The state store: what a ranker's encoder makes of every passage, memory-mapped (see ``jagged``).

::

    segments/000000/
      states.bin    states of d float16 or d bits, passage after passage, in the order of their tokens
      states.idx    per passage, how many states it has, and 1 if it was too long and truncated
    states/
      signs.npz     mean and scale of each dimension, if states are bits             bundle.state_codecs

Counts are unsigned integers of as few bytes as the ranker's longest passage needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.jagged import Column, JaggedLayout, JaggedStore, JaggedWriter, count_type
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.entries import Entries
from lurcher.bundle.state_codecs import Codec, Form, Packed, load_codec
from lurcher.bundle.vectors import Vectors
from lurcher.errors import BundleCorrupt
from lurcher.models.encoders.student import SHA256
from lurcher.models.ranker.seq2seq import RankerConfig

_STATES, _INDEX = "states.bin", "states.idx"


class StateSettings(BaseModel):
    """What the manifest says of the state store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form
    ranker: str = Field(pattern=SHA256, description="fingerprint of what made the states")
    states: int = Field(ge=0)
    truncated: int = Field(ge=0, description="passages longer than the ranker reads")
    bytes: int = Field(ge=0, description="of states and index together")


def state_layout(codec: Codec, max_tokens: int) -> JaggedLayout:
    """The files of a store of states that ``codec`` packs, of a ranker that reads ``max_tokens``."""
    columns = (Column(_STATES, codec.kind, codec.columns),)
    return JaggedLayout(columns, _INDEX, ("states", "truncated"), count_type(max_tokens))


def state_files(bundle: Path, segment: str) -> list[Path]:
    """The files of the store of ``segment``, without means and scales."""
    return [bundle / segment / name for name in (_STATES, _INDEX)]


class StateWriter(JaggedWriter):
    """Appends the states of passages to a segment."""

    def __init__(
        self, segment: Path, codec: Codec, max_tokens: int, fail_point: FailPoint = carry_on
    ) -> None:
        super().__init__(segment, state_layout(codec, max_tokens), fail_point)

    def append_states(self, packed: Sequence[Packed], truncated: Sequence[bool]) -> None:
        """Write the packed states (L, columns) of the next passages, and whether each was truncated."""
        self.append((packed,), truncated)


@dataclass(frozen=True, slots=True)
class StateStore:
    """The states of an opened bundle; safe to share between threads."""

    settings: StateSettings
    codec: Codec
    entries: Entries

    def gather(self, rows: Rows) -> list[Vectors]:
        """The states (L, d) float32 of each of the passages ``rows`` (C,), in that order."""
        packed, counts = self.entries.gather(rows)
        found = self.codec.unpack(packed)
        return np.split(found, np.cumsum(counts)[:-1]) if len(rows) else []


def load_state_codec(
    bundle: Path, segment: str, settings: StateSettings, ranker: RankerConfig
) -> Codec:
    """How ``bundle`` packs states, whose store of ``segment`` has ``settings``. Raises BundleCorrupt."""
    if settings.ranker != ranker.fingerprint:
        reason = "its states are of another ranker than the bundle's"
        raise BundleCorrupt(bundle, f"{segment}/{_STATES}", reason)
    return load_codec(bundle, settings.form, ranker.dimension)


def open_states(
    bundle: Path, segment: str, settings: StateSettings, codec: Codec, ranker: RankerConfig,
    passages: int,
) -> JaggedStore:  # fmt: skip
    """The packed states of ``segment``, which has ``passages`` passages. Raises BundleCorrupt."""
    layout = state_layout(codec, ranker.max_tokens)
    return JaggedStore.open(bundle, segment, layout, passages, settings.states)


def describe_states(
    bundle: Path, segment: str, codec: Codec, ranker: RankerConfig
) -> StateSettings:
    """What the manifest says of the store that was written for ``segment``."""
    layout = state_layout(codec, ranker.max_tokens)
    (states, truncated), size = layout.measure(bundle / segment)
    return StateSettings(
        form=codec.form, ranker=ranker.fingerprint, states=states, truncated=truncated, bytes=size
    )
