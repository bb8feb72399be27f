"""What a request's reply does not say, told by those who answer it to logs, metrics and traces.

``server.middleware.Observe`` makes the notes of each request and reads them when it is answered::

    collection   the collection that it asked
    key          the name of its API key, never the key
    stages       seconds in the queue and in each stage, and ``since``, when the first began
    degraded     what was left out
    query        its text, which a log holds only if the settings say so
    rejected     why it was refused, where its status does not tell
    action       what is written or administered; then also counts, for the audit log
"""

from __future__ import annotations

from typing import Any

from fastapi import Request

Notes = dict[str, Any]


def note(request: Request, **told: Any) -> None:
    """Note what is ``told`` of ``request``."""
    request.state.noted.update(told)
