"""ReferenceGrants: which references to other namespaces are allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.gatewayapi.references import GROUP, ObjectReference


@dataclass(frozen=True, slots=True)
class Referrer:
    """Who refers to something: objects of Gateway API, by kind and namespace."""

    kind: str
    namespace: str
    group: str = GROUP


class Grants:
    """All grants of the cluster."""

    def __init__(self, grants: Iterable[ReferenceGrant]) -> None:
        self._allowed = {
            (Referrer(f.kind, f.namespace, f.group), to.group, to.kind, grant.namespace, to.name)
            for grant in grants
            for f in grant.spec.from_
            for to in grant.spec.to
        }

    def allow(self, referrer: Referrer, reference: ObjectReference) -> bool:
        """Whether a reference may be followed; within a namespace all may."""
        namespace = reference.namespace or referrer.namespace
        if namespace == referrer.namespace:
            return True
        return any(
            (referrer, reference.group, reference.kind, namespace, name) in self._allowed
            for name in (None, reference.name)
        )


class _Needless(Grants):
    def allow(self, referrer: Referrer, reference: ObjectReference) -> bool:  # noqa: ARG002 - of all
        return True


NEEDLESS = _Needless(())
"""Where no grant is asked for: what callers in the mesh are routed to, they could as well call themselves."""
