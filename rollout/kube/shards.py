"""Which part of the work is this replica's: namespaces are spread over shards, and replicas compete for the shards' leases.

With one shard this is plain leader election. Replicas take even shares: who has more than its share gives the surplus
back, who has less takes what is free. Shares are a matter of fairness alone; that a shard is never worked on twice is the
lease's doing. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

SHARDS = "rollout.dev/shards"
"""The annotation of a lease that says how many there are of its kind."""
GROUP = "rollout.dev/lease"
"""The label that all leases of one kind of process share."""


def shard_of(namespace: str, shards: int) -> int:
    """The shard that a namespace belongs to; the same in every process and every version."""
    return int.from_bytes(hashlib.sha256(namespace.encode()).digest()[:8], "big") % shards


def lease_name(group: str, shard: int, shards: int) -> str:
    """The name of a shard's lease."""
    return f"{group}-leader" if shards == 1 else f"{group}-shard-{shard}"


def quotas(shards: int, held: Mapping[str, int]) -> dict[str, int]:
    """How many shards each replica is to hold; `held` says how many each that is alive holds now.

    No two differ by more than one, and who holds more keeps more, so that nothing moves without need.
    """
    least, extra = divmod(shards, len(held))
    ranked = sorted(held, key=lambda replica: (-held[replica], replica))
    return {replica: least + (rank < extra) for rank, replica in enumerate(ranked)}
