"""Which replica of a shard Serve asks: the one that has the state that a request is for."""

from __future__ import annotations

import random

from ray.serve.request_router import LocalityMixin, PendingRequest, RequestRouter, RunningReplica

from lurcher.cluster.shard import replica_of


class SameReplica(LocalityMixin, RequestRouter):  # type: ignore[misc]  # Ray is not there for mypy
    """Serve's choice of the less busy of two replicas, but for what one of them alone has.

    Without Serve's ``FIFOMixin``, which gives a replica that was chosen for one request to another.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:  # fmt: skip
        """The replicas to ask: lists, of which the next one is tried where none of one takes the request."""
        near = self.apply_locality_routing(pending_request=pending_request)
        some = [one for one in candidate_replicas if one.replica_id in near]
        others = random.sample(some, min(2, len(some)))
        wanted = "" if pending_request is None else replica_of(pending_request.args[0].state)
        its = [one for one in candidate_replicas if one.replica_id.unique_id == wanted]
        return [its, others] if its else [others]
