"""The coders of an opened bundle's stores, checked against what the manifest says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from lurcher.errors import BundleCorrupt, ModelError
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.tokens.clustering import Vectors


class _Coder(Protocol):
    @property
    def bits(self) -> int: ...

    @property
    def mean(self) -> Vectors: ...


Coder = TypeVar("Coder", bound=_Coder)


def load_coder(
    bundle: Path, name: str, load: Callable[[Path], Coder], bits: int, encoder: EncoderConfig
) -> Coder:
    """The coder in the file ``name`` of ``bundle``, from states of ``encoder`` to ``bits`` bits.

    Raises BundleCorrupt.
    """
    try:
        coder = load(bundle / name)
    except ModelError as error:
        raise BundleCorrupt(bundle, name, str(error)) from error
    if coder.bits != bits or len(coder.mean) != encoder.dimension:
        has = f"{len(coder.mean)} dimensions to {coder.bits} bits"
        reason = f"{has}, expected {encoder.dimension} to {bits}"
        raise BundleCorrupt(bundle, name, reason)
    return coder
