"""Telemetries that are for the very same workloads, of which only the oldest is in force."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.mesh.analysis.finding import Code, Finding
from rollout.mesh.analysis.world import World


def conflicts(world: World) -> Iterator[Finding]:
    """One for each that has no effect."""
    for policy, holder in world.registry.telemetry.shadowed():
        several = Code.CONFLICTING_TELEMETRIES if policy.selector else Code.SEVERAL_TELEMETRIES
        reason = f"has no effect: {holder.ref}, which is older, is for the same workloads"
        yield Finding(
            code=several,
            ref=policy.ref,
            field="spec.selector",
            reason=reason,
            remedy="merge the two, or give each workloads of its own",
        )
