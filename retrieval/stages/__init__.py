"""The stages of a query: each takes the states of a batch and returns them with its result filled in.

A stage is called with the queries that have not failed, and returns for each its state, or the error that
takes it out of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lurcher.errors import LurcherError
from lurcher.retrieval.query import QueryState

Stage = Callable[[Sequence[QueryState]], Sequence[QueryState | LurcherError]]
