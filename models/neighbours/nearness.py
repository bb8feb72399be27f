"""How near a known query must be to say anything of another query.

::

    near(s) = 0 up to FAR, 1 from NEAR on, linear between      s = <q, q_i>, a cosine

So a query that no known query is near to has the scores that it would have without any, and nothing jumps
as one comes nearer. Chosen on known queries held out of SciFact, NFCorpus and squad-open: with .25 and .35
nDCG@10 is that of no threshold to .0005 on all three; with .4 and .6 NFCorpus, whose queries are topics of
two words, loses .02. By the shipped encoder, queries about different things have a cosine of 0 to about .25.

Not so single words: any two have a cosine of .1 to .5, as each has one of about .5 with the ``common``
direction m of all. So what counts is the cosine of what remains of both without m, where that is lower (the
idea of Mu & Viswanath 2018, "All-but-the-Top", section 3)::

    own(s) = min(s, (s - c c_i) / sqrt((1 - c^2) (1 - c_i^2)))      c = max(0, <q, m>), c_i = max(0, <q_i, m>)

Of 435 pairs of words by the shipped encoder 51 % have a cosine above .25; this way 2 % do, as football and
hockey. It is 1 for a query that is known itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

FAR, NEAR = 0.25, 0.35
_TINY = np.float32(1e-6)

# Words about different things, in any order: what their vectors have in common is that they are words.
UNRELATED_WORDS = (
    "tree", "phone", "window", "coffee", "bank", "horse", "paper", "summer",
    "engine", "doctor", "school", "beach", "bread", "sword", "planet", "music",
)  # fmt: skip


def nearness(similarities: Array) -> Array:
    """How much known queries of ``similarities`` (...) count: from 0, up to ``FAR``, to 1; -inf gives 0."""
    share = (similarities - np.float32(FAR)) / np.float32(NEAR - FAR)
    return np.asarray(np.clip(share, 0, 1), np.float32)


def own_similarities(similarities: Array, common: Array, known_common: Array) -> Array:
    """``similarities`` (B, k) without what the ``common`` direction adds to them.

    ``common`` (B, 1) and ``known_common`` (B, k) are its inner products with the queries and the known ones.
    """
    one, other = np.maximum(common, 0), np.maximum(known_common, 0)
    rest = np.sqrt(np.maximum((1 - one**2) * (1 - other**2), _TINY))
    return np.asarray(np.minimum(similarities, (similarities - one * other) / rest), np.float32)
