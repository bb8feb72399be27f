"""Which shard a document lies in: said by its id alone, so that whoever has the id knows where to look."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from lurcher.bundle.passages import Rows

# What a splitter puts after the id of a document that it cuts.
_PARTS = re.compile(r"(?:#[0-9]+)+\Z")


def shard_of(id_: str, shards: int) -> int:
    """The number, from 0, of the shard that the document or passage ``id_`` lies in, of so many ``shards``.

    The passages of a document are called ``ID#1``, ``ID#2`` and so on, and so may other documents be. All of
    these lie in one shard, which can tell by itself whether an id is taken.
    """
    stem = _PARTS.sub("", id_)
    # An id may have half a character, which UTF-8 has not.
    name = stem.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") % shards


def rows_by_shard(documents: Iterable[str], shards: int) -> list[Rows]:
    """The rows (n,) of each shard, ascending, of passages that are parts of ``documents``, in their order.

    All passages of a document lie in one shard.
    """
    owners = np.fromiter((shard_of(one, shards) for one in documents), np.int64)
    return [np.flatnonzero(owners == shard) for shard in range(shards)]
