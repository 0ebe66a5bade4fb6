"""What comes of one Gateway with all that is attached to it: a gateway for proxies, its ports, its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rollout.api.gatewayapi.gateway import Gateway
from rollout.mesh.ingest.gatewayapi import exposure
from rollout.mesh.ingest.gatewayapi.attachment import Attachments
from rollout.mesh.ingest.gatewayapi.conditions import (
    ACCEPTED,
    PROGRAMMED,
    Condition,
    not_accepted,
    not_programmed,
)
from rollout.mesh.ingest.gatewayapi.listeners import ListenerReading
from rollout.mesh.ingest.gatewayapi.outcome import GatewayStatus, ListenerStatus, Outcome
from rollout.mesh.model import gateway as ir
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host


def proxies(registry: Registry) -> str:
    """The host of the Service that says which proxies serve Gateways."""
    return service_host(registry.root_namespace, exposure.PROXIES)


def exposing(registry: Registry, namespace: str, name: str) -> str:
    """The host of the Service by which a Gateway is reached."""
    return service_host(registry.root_namespace, exposure.service_name(namespace, name))


def forget(ref: Ref, outcome: Outcome) -> None:
    """Takes out what came of a Gateway."""
    outcome.gateways.pop(ref, None)
    outcome.gateway_statuses.pop(ref, None)
    outcome.ports.pop((ref.namespace, ref.name), None)


class Described:
    """One Gateway with all that is attached to it."""

    def __init__(
        self,
        parsed: Gateway,
        attachments: Attachments,
        addresses: Mapping[str, tuple[str, ...]],
        registry: Registry,
    ) -> None:
        self._parsed, self._attachments, self._registry = parsed, attachments, registry
        self._service = exposing(registry, parsed.namespace, parsed.name)
        self._addresses = addresses.get(self._service, ())

    def tell(self, ref: Ref, outcome: Outcome) -> None:
        """Puts in what comes of it."""
        forget(ref, outcome)
        served = self._attachments.served()
        accepted = self._accepted()
        if accepted.holds and served:
            outcome.ports[ref.namespace, ref.name] = {
                listener.port: listener.encrypted for listener, _ in served
            }
            if (found := self._model(ref, served)) is not None:
                outcome.gateways[ref] = found
        outcome.gateway_statuses[ref] = GatewayStatus(
            generation=self._parsed.metadata.generation,
            conditions=(accepted, self._programmed(accepted, any_served=bool(served))),
            addresses=self._addresses,
            listeners=tuple(
                ListenerStatus(
                    name=each.listener.name,
                    kinds=each.listener.kinds,
                    attached=each.count,
                    conditions=each.listener.conditions(),
                )
                for each in self._attachments.listeners
            ),
        )

    def _accepted(self) -> Condition:
        spec = self._parsed.spec
        if any(address.value for address in spec.addresses):
            reason = "spec.addresses: addresses are not chosen in this version: remove them"
            return not_accepted("UnsupportedAddress", reason)
        if isinstance(spec.infrastructure, Mapping) and spec.infrastructure.get("parametersRef"):
            reason = "spec.infrastructure.parametersRef is not acted upon: remove it"
            return not_accepted("InvalidParameters", reason)
        ignored = "; ".join(f"{e.path} is not acted upon" for e in self._parsed.unknown_fields)
        if spec.infrastructure is not None:
            ignored = "; ".join(filter(None, (ignored, "spec.infrastructure is not acted upon")))
        wrong = [
            each.listener.name
            for each in self._attachments.listeners
            if not each.listener.attachable
        ]
        if len(wrong) == len(self._attachments.listeners):
            return not_accepted("ListenersNotValid", "none of its listeners can be served")
        if wrong:
            reason = f"listeners that cannot be served: {', '.join(wrong)}"
            return Condition(ACCEPTED.type, "ListenersNotValid", reason)
        return Condition(ACCEPTED.type, ACCEPTED.reason, ignored)

    def _programmed(self, accepted: Condition, *, any_served: bool) -> Condition:
        if not accepted.holds or not any_served:
            return not_programmed("Invalid", "none of its listeners can be served")
        if self._proxies() is None:
            reason = "there are no gateway proxies: set the chart value gateway.enabled"
            return not_programmed("NoResources", reason)
        if not self._addresses:
            return not_programmed("AddressNotAssigned", "its Service has no address yet")
        if not self._registry.endpoints.get(self._service):
            return not_programmed("Pending", "no gateway proxy is ready")
        return PROGRAMMED

    def _proxies(self) -> frozenset[tuple[str, str]] | None:
        """The labels of the proxies that serve gateways."""
        found = self._registry.services.get(proxies(self._registry))
        return found.selector if found is not None else None

    def _model(
        self, ref: Ref, served: Iterable[tuple[ListenerReading, tuple[ir.HostRoutes, ...]]]
    ) -> ir.Gateway | None:
        selector = self._proxies()
        if selector is None:
            return None
        return ir.Gateway(
            ref=ref,
            created=self._parsed.metadata.creation_timestamp,
            selector=selector,
            service=self._service,
            namespace=self._registry.root_namespace,
            servers=tuple(_server(listener, hosts) for listener, hosts in served),
        )


def _server(listener: ListenerReading, hosts: tuple[ir.HostRoutes, ...]) -> ir.GatewayServer:
    found = ir.GatewayServer(
        port=listener.port,
        hosts=(("*", listener.host),),
        index=listener.index,
        name=listener.name,
        attached=hosts,
    )
    if listener.certificate is None:
        return found
    namespace, name = listener.certificate
    tls = ir.ServerTLS(mode=ir.TLSMode.SIMPLE, credential=name, namespace=namespace)
    return replace(found, protocol=ir.ServerProtocol.HTTPS, tls=tls)
