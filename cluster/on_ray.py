"""Ray, started here or joined. All that knows Ray is here, in ``serving`` and in ``encoding``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from lurcher.errors import LurcherError
from lurcher.threads import available_cpus

LOCAL = "local"
# Arrays between processes of one machine; a batch of a build is some megabytes.
_STORE_BYTES = 256 << 20


@contextmanager
def joined(address: str, cpus: int | None = None) -> Iterator[None]:
    """A driver of the Ray cluster at ``address`` in this block; "local": one that lives as long as it.

    A local one has ``cpus``, None: those of this machine. Raises LurcherError if none can be reached.
    """
    try:
        if address == LOCAL:
            ray.init(
                num_cpus=cpus or available_cpus(), include_dashboard=False, log_to_driver=False,
                object_store_memory=_STORE_BYTES, logging_level="warning",
            )  # fmt: skip
        else:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
    # ConnectionError, ValueError for what is no address, RuntimeError for another version of Ray or Python.
    except (OSError, RuntimeError, ValueError) as error:
        why = str(error).strip().splitlines()
        reason = why[0] if why else type(error).__name__
        raise LurcherError(
            f"no Ray cluster can be used at {address!r}: {reason}; this is Ray {ray.__version__}, and the "
            "cluster has to be of the same version"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
