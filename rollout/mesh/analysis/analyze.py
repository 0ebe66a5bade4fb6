"""Reads objects as the control plane would, and gathers all that is wrong with them, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rollout.mesh.analysis import gatewayapi, injection, routing, telemetry
from rollout.mesh.analysis.finding import Code, Finding
from rollout.mesh.analysis.world import World
from rollout.mesh.ingest.references import dangling
from rollout.mesh.ingest.services import Json
from rollout.mesh.model.problem import Problem

_Analyzer = Callable[[World], Iterator[Finding]]


def analyze(objects: Iterable[Json], root_namespace: str) -> list[Finding]:
    """All findings, the worst first. The objects are of any kinds; those that are not known here are passed over.

    `root_namespace` is the control plane's own: it and Kubernetes' are not asked to be injected.
    """
    world = World(objects, root_namespace)
    found = {finding for analyzer in _ANALYZERS for finding in analyzer(world)}
    return sorted(found, key=lambda finding: finding.order)


def _invalid(world: World) -> Iterator[Finding]:
    for problems in world.feed.problems.values():
        for problem in problems:
            yield _finding(Code.INVALID, problem)


def _references(world: World) -> Iterator[Finding]:
    for problems in dangling(world.registry).values():
        for problem in problems:
            taken = problem.field.startswith("spec.hosts[")
            yield _finding(Code.CONFLICTING_HOSTS if taken else Code.MISSING_REFERENCE, problem)


def _finding(code: Code, problem: Problem) -> Finding:
    return Finding(
        code=code,
        ref=problem.ref,
        field=problem.field,
        reason=problem.reason,
        remedy=problem.remedy,
    )


_ANALYZERS: tuple[_Analyzer, ...] = (
    _invalid,
    _references,
    gatewayapi.unreadable,
    gatewayapi.conditions,
    gatewayapi.parents,
    injection.namespaces,
    injection.pods,
    routing.port_names,
    routing.gateway_ports,
    routing.gateway_hosts,
    routing.unreachable,
    telemetry.conflicts,
)
