"""Listeners of a Gateway as read: which routes may attach, with which certificate they are served, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.api.gatewayapi.gateway import AllowedRoutes, Gateway, Listener
from rollout.api.gatewayapi.references import GROUP, SecretReference
from rollout.kube.objects import selector_matches
from rollout.mesh.ingest.gatewayapi.backends import Unresolved
from rollout.mesh.ingest.gatewayapi.conditions import (
    ACCEPTED,
    NO_CONFLICTS,
    PROGRAMMED,
    RESOLVED,
    Condition,
    not_accepted,
    not_programmed,
    unresolved,
)
from rollout.mesh.ingest.gatewayapi.grants import Grants, Referrer
from rollout.mesh.model.registry import Registry

ROUTE_KINDS = ("HTTPRoute", "GRPCRoute")
_PROTOCOLS = {"HTTP": False, "HTTPS": True}
_ANY_HOST = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerReading:
    """A listener by itself; `host` is `*` for all, `kinds` those that may attach, `certificate` a Secret's place."""

    index: int
    name: str
    port: int
    encrypted: bool
    host: str
    kinds: tuple[str, ...]
    allowed: AllowedRoutes
    certificate: tuple[str, str] | None = None
    accepted: Condition = ACCEPTED
    resolved: Condition = RESOLVED
    conflicted: Condition = NO_CONFLICTS

    @property
    def attachable(self) -> bool:
        """Whether routes can attach to it."""
        return self.accepted.holds and not self.conflicted.holds

    @property
    def served(self) -> bool:
        """Whether its port is opened."""
        certified = not self.encrypted or self.certificate is not None
        return self.attachable and certified and bool(self.kinds)

    def conditions(self) -> tuple[Condition, ...]:
        """All that is said of it."""
        programmed = PROGRAMMED
        if not self.served:
            programmed = not_programmed("Invalid", "see the other conditions")
        return (self.accepted, programmed, self.resolved, self.conflicted)

    def takes(self, kind: str, namespace: str, home: str, labels: Mapping[str, str]) -> bool:
        """Whether routes of a kind may attach from a namespace with these labels; `home` is the Gateway's."""
        wanted = self.allowed.namespaces
        if kind not in self.kinds:
            return False
        if wanted.from_ == "Selector":
            selector = wanted.selector.dump() if wanted.selector is not None else None
            return selector_matches(selector, dict(labels))
        return wanted.from_ == "All" or (wanted.from_ == "Same" and namespace == home)


def listeners_of(
    parsed: Gateway, registry: Registry, grants: Grants
) -> tuple[ListenerReading, ...]:
    """The listeners of a Gateway, those in conflict with each other marked."""
    found = [
        _reading(index, listener, parsed.namespace, registry, grants)
        for index, listener in enumerate(parsed.spec.listeners)
    ]
    return _without_conflicts(found)


def _reading(
    index: int, listener: Listener, namespace: str, registry: Registry, grants: Grants
) -> ListenerReading:
    encrypted = _PROTOCOLS.get(listener.protocol)
    kinds, wrong = _kinds(listener.allowed_routes)
    found = ListenerReading(
        index=index,
        name=listener.name,
        port=listener.port,
        encrypted=bool(encrypted),
        host=(listener.hostname or _ANY_HOST).lower(),
        kinds=kinds,
        allowed=listener.allowed_routes,
    )
    if encrypted is None:
        reason = f"protocol {listener.protocol} is not served: use HTTP or HTTPS"
        return replace(found, kinds=(), accepted=not_accepted("UnsupportedProtocol", reason))
    if wrong:
        reason = f"{', '.join(wrong)}: routes are {' or '.join(ROUTE_KINDS)}"
        found = replace(found, resolved=unresolved("InvalidRouteKinds", reason))
    if not encrypted:
        return found
    certificate = _certificate(listener, namespace, registry, grants)
    if isinstance(certificate, Unresolved):
        return replace(found, resolved=unresolved(certificate.reason, certificate.message))
    return replace(found, certificate=certificate)


def _kinds(allowed: AllowedRoutes) -> tuple[tuple[str, ...], list[str]]:
    """The kinds that may attach, and those that are none."""
    if not allowed.kinds:
        return ROUTE_KINDS, []
    named = [each.kind for each in allowed.kinds if each.group == GROUP]
    kinds = tuple(kind for kind in ROUTE_KINDS if kind in named)
    wrong = [e.kind for e in allowed.kinds if e.group != GROUP or e.kind not in ROUTE_KINDS]
    return kinds, wrong


def _certificate(
    listener: Listener, namespace: str, registry: Registry, grants: Grants
) -> tuple[str, str] | Unresolved:
    """The Secret of a listener that ends TLS."""
    invalid = "InvalidCertificateRef"
    given = listener.tls
    if given is None or given.mode != "Terminate" or not given.certificate_refs:
        return Unresolved(invalid, "tls: mode Terminate with a certificateRef is needed")
    if len(given.certificate_refs) > 1 or given.options:
        field = "options" if given.options else "certificateRefs[1]"
        return Unresolved(invalid, f"tls.{field} is not acted upon by this version: remove it")
    reference = given.certificate_refs[0]
    found = (reference.namespace or namespace, reference.name)
    if (reference.group, reference.kind) != ("", "Secret"):
        reason = f"{reference.kind}.{reference.group} {reference.name}"
        return Unresolved(invalid, f"{reason}: only Secrets hold certificates")
    if not grants.allow(Referrer("Gateway", namespace), reference):
        reason = f"no ReferenceGrant in {found[0]} lets Gateways of namespace {namespace}"
        return Unresolved("RefNotPermitted", f"{reason} refer to Secret {found[1]}")
    fault = _secret_fault(reference, found, registry)
    return Unresolved(invalid, fault) if fault else found


def _secret_fault(reference: SecretReference, place: tuple[str, str], registry: Registry) -> str:
    if not registry.reads_credentials(place[0]):
        return (
            f"Secrets of namespace {place[0]} are not read (chart value mesh.credentialNamespaces)"
        )
    found = registry.credentials.get(place)
    if found is not None and found.key:
        return ""
    fault = registry.credential_faults.get(place)
    known = "has no tls.crt with tls.key" if found else "does not exist"
    return f"Secret {place[0]}/{reference.name} {fault or known}"


def _without_conflicts(found: list[ListenerReading]) -> tuple[ListenerReading, ...]:
    """Listeners of one port speak one protocol and have different hosts; where not, none of them is served."""
    valid = [each for each in found if each.accepted.holds]
    spoken: dict[int, set[bool]] = {}
    for each in valid:
        spoken.setdefault(each.port, set()).add(each.encrypted)
    hosts = Counter((each.port, each.host) for each in valid)

    def judged(each: ListenerReading) -> ListenerReading:
        if not each.accepted.holds:
            return each
        if len(spoken[each.port]) > 1:
            reason = f"listeners of port {each.port} speak HTTP and HTTPS: use another port"
            return replace(each, conflicted=Condition("Conflicted", "ProtocolConflict", reason))
        if hosts[each.port, each.host] > 1:
            reason = f"another listener of port {each.port} has host {each.host}, too: remove one"
            return replace(each, conflicted=Condition("Conflicted", "HostnameConflict", reason))
        return each

    return tuple(map(judged, found))
