"""File descriptors: each connection takes one, and what a shell allows is often half of what is served."""

from __future__ import annotations

import resource

# Of a process that serves: the bundle's files, the log's, sockets that listen, libraries.
_OTHERS = 128


def room_for(connections: int, others: int = _OTHERS) -> int:
    """How many of so many ``connections`` this process can have, after it has raised its limit as it may.

    Beyond it, the system would close new connections without a word, and files could not be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + others
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - others))
