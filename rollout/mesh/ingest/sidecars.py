"""Sidecars to what of the mesh workloads are told."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.api.istio.sidecar import EgressListener, IngressListener, Sidecar
from rollout.mesh.ingest.services import protocol
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.reach import Egress, Ingress, SidecarScope

_REMEDY = "remove it, or wait for a version that acts upon it"


def sidecar_scope(parsed: Sidecar) -> tuple[SidecarScope, list[Problem]]:
    """The scope, and what of the object is not acted upon."""
    ref = Ref("Sidecar", parsed.namespace, parsed.name)
    spec = parsed.spec
    labels = spec.workload_selector.labels if spec.workload_selector else {}
    policy = spec.outbound_traffic_policy
    mode = policy.mode if policy else None
    scope = SidecarScope(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        selector=frozenset(labels.items()),
        egress=tuple(map(_egress, spec.egress)) or None,
        ingress=tuple(map(_ingress, spec.ingress)) or None,
        allow_any=None if mode is None else mode == "ALLOW_ANY",
    )
    problems = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    for index, egress in enumerate(spec.egress):
        problems += _ignored(ref, f"spec.egress[{index}]", egress)
    for index, ingress in enumerate(spec.ingress):
        problems += _ignored(ref, f"spec.ingress[{index}]", ingress)
    return scope, problems


def _egress(listener: EgressListener) -> Egress:
    pairs = (host.lower().partition("/") for host in listener.hosts)
    return Egress(
        frozenset((namespace, host) for namespace, _, host in pairs),
        listener.port.number if listener.port else None,
    )


def _ingress(listener: IngressListener) -> Ingress:
    port, to = listener.port, listener.default_endpoint or ""
    host, _, number = to.rpartition(":")
    if to.startswith("unix://"):
        to = to.removeprefix("unix://")
    elif host.strip("[]") in {"0.0.0.0", "::"}:  # noqa: S104 - how Istio writes the pod's own address
        to = f":{number}"
    spoken = {"appProtocol": port.protocol, "name": port.name, "port": port.number}
    return Ingress(port=port.number, protocol=protocol(spoken), to=to)


def _ignored(ref: Ref, path: str, listener: EgressListener | IngressListener) -> Iterator[Problem]:
    if listener.capture_mode == "NONE":
        reason = "NONE is not acted upon: connections come by the pod's interception rules"
        yield Problem(ref, f"{path}.captureMode", reason, _REMEDY)
    if listener.bind is not None:
        reason = "is not acted upon: the port is taken on all addresses"
        yield Problem(ref, f"{path}.bind", reason, _REMEDY)
