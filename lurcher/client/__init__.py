"""A Lurcher server, called from Python: `lurcher.Client` and `lurcher.AsyncClient`.

Both give the objects that `lurcher.open` gives, so that a program can move from one to the other. What they
share knows nothing of connections: ``steps`` says what to send and what the replies mean, ``replies`` turns
them into results, ``failures`` into errors and pauses.
"""

from __future__ import annotations

from lurcher.client.asynchronous import AsyncClient
from lurcher.client.synchronous import Client

__all__ = ["AsyncClient", "Client"]
