"""What a piece of work is expected to cost, in seconds, before anything of it is computed.

Good enough to tell a thousand ranked candidates from ten, and a long text from a short one; the queue
corrects all of them by one ratio.
"""

from __future__ import annotations

from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.query import Plan, Query
from lurcher.retrieval.rankers.maxsim import UNPACKING
from lurcher.retrieval.rerank import RerankRequest

# Characters of a token, in most texts of most languages; and the tokens around each text.
_CHARACTERS, _SPECIAL = 4, 2
# Tokens of a passage that a reader reads.
_PASSAGE = 150


def price_of_query(query: Query, plan: Plan, costs: CostModel, max_tokens: int) -> float:
    """The seconds of answering ``query`` as ``plan`` says, by an encoder that reads ``max_tokens``."""
    length = _tokens(query.text, max_tokens)
    price = costs.estimate("query", 1) + costs.estimate("token", length)
    if plan.ranker is not None:
        price += costs.estimate(plan.ranker, plan.depth * (UNPACKING + length))
    if query.read is not None:
        price += costs.estimate("read", query.top_k * (_PASSAGE + length))
    if "highlights" in query.extras:
        price += costs.estimate("hit", query.top_k)
    if "token_alignment" in query.extras:
        price += costs.estimate("alignment", query.top_k)
    return price


def price_of_text(text: str, costs: CostModel, max_tokens: int) -> float:
    """The seconds of encoding ``text``."""
    return costs.estimate("token", _tokens(text, max_tokens))


def price_of_rerank(request: RerankRequest, costs: CostModel, max_tokens: int) -> float:
    """The seconds of scoring the passages of ``request``, whose own texts are encoded already."""
    length = _tokens(request.query, max_tokens)
    compared = costs.estimate("maxsim", len(request.passages) * (UNPACKING + length))
    return costs.estimate("query", 1) + costs.estimate("token", length) + compared


def _tokens(text: str, max_tokens: int) -> int:
    return min(len(text) // _CHARACTERS + _SPECIAL, max_tokens)
