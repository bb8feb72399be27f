"""What scores count beside each other, by what a corpus is made of.

The weights were chosen on development queries of eleven sets (docs/generality.md). Program code is the one
kind of text for which others are better by more than they vary from set to set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal["prose", "code"]
PresetChoice = Literal["auto", "prose", "code"]


@dataclass(frozen=True, slots=True)
class Preset:
    """Weights of scores.

    late      of MaxSim against the inner product of the vectors, 0 to 1
    lexical   of the lexical score beside a ranker's, on top of what the corpus's lexical gain gives it
    """

    late: float
    lexical: float


PRESETS: dict[PresetName, Preset] = {
    # .75 late is as good on long texts, worse on short ones.
    "prose": Preset(0.7, 0.0),
    # A query in plain words and a function share few tokens: their states are less near to each other than
    # the vectors are, and a word that both have says more.
    "code": Preset(0.5, 0.1),
}
