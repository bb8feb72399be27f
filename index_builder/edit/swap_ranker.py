"""Another decoder for a bundle that exists: a new bundle, in which no passage is encoded again."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import RANKER, Bundle
from lurcher.bundle.manifest import Manifest, SegmentEntry
from lurcher.bundle.state_codecs import SIGNS
from lurcher.bundle.state_store import state_files
from lurcher.errors import FieldError
from lurcher.index_builder.edit.derive import beside, derive
from lurcher.index_builder.ranker_files import check_ranker, put_decoder, read_ranker
from lurcher.models.ranker.seq2seq import RankerConfig


def swap_ranker(bundle: Path, ranker: Path, out: Path | None = None) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle`` with the decoder in the folder ``ranker``.

    ``out`` None: a name beside ``bundle``, made of its name and the decoder's. Raises FieldError if ``out``
    exists, the bundle has no tokens or ``ranker`` is a T5; ModelError for a decoder that does not fit;
    BundleError.
    """
    described = read_ranker(ranker)
    if isinstance(described, RankerConfig):
        raise FieldError("ranker", f"{ranker} reads states, which only `lurcher build` makes")
    with closing(Bundle.open(bundle)) as old:
        if old.tokens is None:
            raise FieldError("bundle", f"{bundle} has no tokens to rank by; build it again")
        coder, encoder = old.tokens.coder, old.encoder
        before = None if old.manifest.ranker is None else old.manifest.ranker.name
        out = out or beside(bundle.resolve(), before, described.name)

        def write(made: Path) -> dict[str, Any]:
            segments = old.manifest.segments
            of_segments = [state_files(made, segment.folder) for segment in segments]
            for file in (*chain(*of_segments), made / SIGNS):  # of a T5, if one ranked
                file.unlink(missing_ok=True)
            check_ranker(ranker, encoder, coder.bits, coder.projection_hash)
            return {
                "ranker": put_decoder(ranker, made, encoder, coder),
                "states": None,
                "segments": [_without_states(segment) for segment in segments],
            }

        return out, derive(old, out, RANKER, write)


def _without_states(segment: SegmentEntry) -> SegmentEntry:
    """``segment`` without what it says of a T5's states."""
    if segment.stores is None:
        return segment
    stores = segment.stores.model_copy(update={"states": None})
    return segment.model_copy(update={"stores": stores})
