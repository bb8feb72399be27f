"""How near a known query must be to say anything of another query.

::

    near(s) = 0 up to FAR, 1 from NEAR on, linear between      s = <q, q_i>, a cosine

So a query that no known query is near to has the scores that it would have without any, and nothing jumps
as one comes nearer. Chosen on known queries held out of SciFact, NFCorpus and squad-open: with .25 and .35
nDCG@10 is that of no threshold to .0005 on all three; with .4 and .6 NFCorpus, whose queries are topics of
two words, loses .02. By the shipped encoder, queries about different things have a cosine of 0 to about .25.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

FAR, NEAR = 0.25, 0.35


def nearness(similarities: Array) -> Array:
    """How much known queries of ``similarities`` (...) count: from 0, up to ``FAR``, to 1; -inf gives 0."""
    share = (similarities - np.float32(FAR)) / np.float32(NEAR - FAR)
    return np.asarray(np.clip(share, 0, 1), np.float32)
