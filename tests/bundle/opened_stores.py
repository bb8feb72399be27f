"""Stores of one segment, opened as a bundle opens them: how they are coded, then what the segment holds."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.reading_store import (
    ReadingSettings,
    ReadingStore,
    load_reading_coder,
    open_reading,
)
from lurcher.bundle.state_store import StateSettings, StateStore, load_state_codec, open_states
from lurcher.bundle.token_store import TokenSettings, TokenStore, load_token_coder, open_tokens
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.ranker.seq2seq import RankerConfig


def token_store(
    bundle: Path, segment: str, settings: TokenSettings, encoder: EncoderConfig, passages: int
) -> TokenStore:
    coder = load_token_coder(bundle, segment, settings, encoder)
    return TokenStore(settings, coder, open_tokens(bundle, segment, settings, encoder, passages))


def reading_store(
    bundle: Path, segment: str, settings: ReadingSettings, encoder: EncoderConfig, passages: int
) -> ReadingStore:
    coder = load_reading_coder(bundle, segment, settings, encoder)
    return ReadingStore(settings, coder, open_reading(bundle, segment, settings, encoder, passages))


def state_store(
    bundle: Path, segment: str, settings: StateSettings, ranker: RankerConfig, passages: int
) -> StateStore:
    codec = load_state_codec(bundle, segment, settings, ranker)
    entries = open_states(bundle, segment, settings, codec, ranker, passages)
    return StateStore(settings, codec, entries)
