"""WorkloadEntries to endpoints of the services of their namespace that select them, beside the pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from rollout.api.istio.workloadentry import Endpoint as Written
from rollout.api.istio.workloadentry import WorkloadEntry
from rollout.mesh.ingest.services import TLS_MODE, workload
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Ports, Registry
from rollout.mesh.model.selected import Labels
from rollout.mesh.model.service import Endpoint, Port, Service

_UNSUPPORTED = "remove it, or wait for a version that acts upon it"
_UNSELECTED = "no Service or ServiceEntry of the namespace selects it: it gets nothing"
_SELECT = "give it the labels of one that does"
_MOST_WEIGHT = 1_000_000
"""So that the weights of a locality's endpoints never sum up to more than Envoy takes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A workload that is behind whatever selects its labels; `ports` are its own by the names of services' ports."""

    endpoint: Endpoint
    ports: tuple[tuple[str, int], ...]

    @property
    def labels(self) -> Labels:
        """By which it is selected."""
        return self.endpoint.labels

    def at(self, port: Port) -> Endpoint | None:
        """Where it serves a service's port; None where that is a name that it has no port of."""
        own = dict(self.ports)
        number = own.get(port.name) or own.get(str(port.target)) or port.target
        if isinstance(number, str) and not number.isdecimal():
            return None
        return replace(self.endpoint, port=int(number))


def member(parsed: WorkloadEntry) -> tuple[Member | None, list[Problem]]:
    """The workload, None where it cannot be reached, and what of the object is not acted upon."""
    ref = Ref("WorkloadEntry", parsed.namespace, parsed.name)
    problems = [
        Problem(ref, f.path, f.reason, f.remedy or _UNSUPPORTED) for f in parsed.unknown_fields
    ]
    spec = parsed.spec
    if (fault := unknown_network(ref, "spec", spec)) is not None:
        problems.append(fault)
    try:
        ip_address(spec.address or "")
    except ValueError:
        why = f"{spec.address!r} is no address: it is left out"
        remedy = "give an address; names are resolved for ServiceEntries' own endpoints alone"
        return None, [*problems, Problem(ref, "spec.address", why, remedy)]
    found = endpoint(spec, 0, parsed.namespace, parsed.name)
    if found.workload is None:
        named = workload(
            namespace=parsed.namespace, name=parsed.name, labels=spec.labels, account="default"
        )
        found = replace(found, workload=named)
    return Member(found, tuple(sorted(spec.ports.items()))), problems


def endpoint(written: Written, port: int, namespace: str, name: str) -> Endpoint:
    """An endpoint at a port. One with an account is a workload (of this name) whose proxy takes mutual TLS, as in Istio."""
    labels, account = dict(written.labels), written.service_account
    if account:
        labels.setdefault(*TLS_MODE)
    return Endpoint(
        address=(written.address or "").rstrip("."),
        port=port,
        labels=frozenset(labels.items()),
        locality=written.locality or "",
        weight=min(written.weight or 1, _MOST_WEIGHT),
        workload=workload(namespace=namespace, name=name, labels=labels, account=account)
        if account
        else None,
    )


def unknown_network(ref: Ref, path: str, written: Written) -> Problem | None:
    """What is to be said of an endpoint of another network."""
    if not written.network:
        return None
    why = "is not acted upon by this version: all networks are one"
    return Problem(ref, f"{path}.network", why, _UNSUPPORTED)


class Members:
    """All of them, by namespace."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, dict[Ref, Member]] = {}

    def put(self, ref: Ref, found: Member | None) -> list[Labels]:
        """Puts, replaces or removes one; the labels by which it was and is selected."""
        there = self._by_namespace.setdefault(ref.namespace, {})
        concerned = [there.pop(ref, None), found]
        if found is not None:
            there[ref] = found
        if not there:
            del self._by_namespace[ref.namespace]
        return [each.labels for each in concerned if each is not None]

    def unselected(self, registry: Registry) -> dict[Ref, tuple[Problem, ...]]:
        """Those that nothing leads to."""
        return {
            ref: (Problem(ref, "spec.labels", _UNSELECTED, _SELECT),)
            for namespace, there in self._by_namespace.items()
            for ref, each in there.items()
            if next(registry.selecting(namespace, each.labels), None) is None
        }

    def behind(self, service: Service) -> Ports:
        """The endpoints that a service selects among them, by its ports."""
        there = self._by_namespace.get(service.namespace, {})
        chosen = [each for _, each in sorted(there.items()) if service.selects(each.labels)]
        found = {
            port.number: tuple(e for each in chosen if (e := each.at(port)) is not None)
            for port in service.ports
        }
        return {number: each for number, each in found.items() if each}


def joined(first: Ports, second: Ports) -> Ports:
    """The endpoints of both."""
    if not second:
        return first
    return {
        number: tuple(
            sorted(
                {*first.get(number, ()), *second.get(number, ())},
                key=lambda each: (each.address, each.port),
            )
        )
        for number in sorted({*first, *second})
    }
