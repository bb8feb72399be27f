"""Which shard a document lies in: said by its id alone, so that whoever has the id knows where to look."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from lurcher.bundle.passages import Rows


def shard_of(document: str, shards: int) -> int:
    """The number, from 0, of the shard that ``document`` lies in, of so many ``shards``."""
    # An id may have half a character, which UTF-8 has not.
    name = document.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") % shards


def rows_by_shard(documents: Iterable[str], shards: int) -> list[Rows]:
    """The rows (n,) of each shard, ascending, of passages that are parts of ``documents``, in their order.

    All passages of a document lie in one shard.
    """
    owners = np.fromiter((shard_of(one, shards) for one in documents), np.int64)
    return [np.flatnonzero(owners == shard) for shard in range(shards)]
