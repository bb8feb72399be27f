"""What an answer's probability is made of, beside the reader's own: numbers that mean the same on any corpus.

A softmax over spans says how an answer stands among those that were read, and is sure of the best of a bad
lot. The rest of the evidence says whether the lot is bad. A reader's description weighs it all::

    P(right) = logistic(slope odds + offset + sum of weight_f f)     f: the other fields of ``Evidence``
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from lurcher.models.reader.answers import Answer, log_odds

# What is further than this from 0, in logits, says no more: half of all answers are within 5.
_FAR = 12.0


class Evidence(NamedTuple):
    """What is known of one answer to one question."""

    odds: float  # log-odds that its spans have under the softmax over all spans and nothing
    margin: float = 0.0  # logit of its best span, without the search's score, above that of nothing
    rival: float = 0.0  # log-odds of it against the best other answer alone
    agreement: float = (
        0.0  # logarithm of how many passages have it among the spans that were looked at
    )
    search: float = 0.0  # search score of its passage
    question: float = 0.0  # 1 if the query reads like a question


# The fields that a reader may weigh besides ``odds``, whose weight is the slope.
Weighed = Literal["margin", "rival", "agreement", "search", "question"]
WEIGHED: tuple[Weighed, ...] = get_args(Weighed)


def bounded(logit: float) -> float:
    """``logit``, no further from 0 than says anything."""
    return min(max(logit, -_FAR), _FAR)


def evidence_of(
    answers: Sequence[Answer], margins: Sequence[float], scores: Sequence[float], question: bool
) -> list[Evidence]:
    """The evidence of each of ``answers``, best first.

    ``margins`` are the logits of their best spans without the search's score, ``scores`` the search's of the
    passages of these; ``question`` says that the query reads like one.
    """
    found = []
    for place, answer in enumerate(answers):
        others = [one.logarithm for one in answers[:2] if one is not answer]
        rival = answer.logarithm - others[0] if others else _FAR
        found.append(
            Evidence(
                log_odds(answer.logarithm), bounded(margins[place]), bounded(rival),
                math.log(answer.passages), scores[place], float(question),
            )
        )  # fmt: skip
    return found


def logit_of(
    evidence: Evidence, slope: float, offset: float, weights: Mapping[Weighed, float]
) -> float:
    """The log-odds that an answer of that ``evidence`` is right; ``weights`` by the names in ``WEIGHED``."""
    others = sum(weight * float(getattr(evidence, name)) for name, weight in weights.items())
    return slope * evidence.odds + offset + others
