"""Ray, started here or joined. All that knows Ray is here, in ``serving`` and in ``encoding``."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from lurcher.errors import LurcherError
from lurcher.threads import available_cpus

LOCAL = "local"
# Arrays between processes of one machine; a batch of a build is some megabytes.
_STORE_BYTES = 256 << 20
# Seconds for a connection to a cluster. Ray tries for two minutes, and then ends the process.
_PATIENCE = 5.0


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
            _check_there(address)
            ray.init(address=address, log_to_driver=False, logging_level="warning")
    # ConnectionError, ValueError for what is no address, RuntimeError for another version of Ray or Python.
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LurcherError(
            f"no Ray cluster can be used at {address!r}: {reason}; this is Ray {ray.__version__}, of which "
            "the cluster has to be, and if that asks for a token, RAY_AUTH_MODE=token has to be set here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Raise OSError if no cluster is there; what is no host and port is Ray's to refuse."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    import grpc  # after ray, which says what to install if neither is there

    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"{host}:{port}", options) as channel:
        try:
            grpc.channel_ready_future(channel).result(_PATIENCE)
        except grpc.FutureTimeoutError:
            raise ConnectionError("what listens there is not Ray") from None
