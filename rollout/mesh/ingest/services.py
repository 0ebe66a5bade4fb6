"""Services, EndpointSlices and Pods, as JSON, to services and endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollout.mesh.ingest.hosts import exported
from rollout.mesh.inject.workload import canonical_name, canonical_revision, workload_of
from rollout.mesh.model.identity import Identity
from rollout.mesh.model.peers import PeerMode, PeerPolicies
from rollout.mesh.model.service import Endpoint, Port, Protocol, Service, Workload

Json = Mapping[str, Any]
PodOf = Callable[[str, str], Json | None]
"""Finds a pod by namespace and name."""

_SERVER_FIRST = frozenset({25, 110, 143, 465, 587, 993, 995, 3306, 27017})
"""Ports where the server speaks first, so that looking at the client's first bytes would wait for ever."""

_LOCALITY = "istio-locality"
TLS_MODE = ("security.istio.io/tlsMode", "istio")
"""The label by which Istio's injector says that a pod has a proxy."""
_EXPORT = "networking.istio.io/exportTo"

_PROTOCOLS = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.HTTP,
    "https": Protocol.TLS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.TCP,
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
    "udp": Protocol.UDP,
}


def service(obj: Json) -> Service | None:
    """The service; None for an ExternalName, which has no endpoints."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    if spec.get("type") == "ExternalName":
        return None
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return Service(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ports=tuple(_port(port) for port in spec.get("ports") or ()),
        addresses=tuple(address for address in addresses if address and address != "None"),
        selector=frozenset((spec.get("selector") or {}).items()),
        created=metadata.get("creationTimestamp") or "",
        exported=exported(_export_to(metadata), metadata["namespace"]),
    )


def _export_to(metadata: Json) -> list[str]:
    written = (metadata.get("annotations") or {}).get(_EXPORT) or ""
    return [name.strip() for name in written.split(",") if name.strip()]


def _port(port: Json) -> Port:
    number = int(port["port"])
    return Port(
        number=number,
        name=port.get("name") or "",
        protocol=protocol(port),
        target=port.get("targetPort") or number,
    )


def protocol(port: Json) -> Protocol:
    """By `appProtocol`, else by the name up to its first dash, else found out from the traffic."""
    if (port.get("protocol") or "TCP") != "TCP":
        return Protocol.UDP
    if application := port.get("appProtocol"):
        return _PROTOCOLS.get(application.lower(), Protocol.TCP)
    name = (port.get("name") or "").lower()
    for candidate in (name, name.rsplit("-", 1)[0], name.split("-", 1)[0]):
        if candidate in _PROTOCOLS:
            return _PROTOCOLS[candidate]
    return Protocol.TCP if port.get("port") in _SERVER_FIRST else Protocol.AUTO


def endpoints(
    service: Service, slices: Iterable[Json], pod_of: PodOf, places: Mapping[str, str]
) -> dict[int, tuple[Endpoint, ...]]:
    """The endpoints of a service by its port numbers; `places` says where nodes are.

    A pod that is not ready leaves at once, and so does one that is being deleted, unless all that are left are: then
    those that still serve stay, as kube-proxy has it.
    """
    staying: dict[int, set[Endpoint]] = {}
    leaving: dict[int, set[Endpoint]] = {}
    for piece in slices:
        numbers = _slice_ports(service, piece)
        for entry in piece.get("endpoints") or ():
            pod = _pod(service.namespace, entry, pod_of)
            leaves = _leaves(entry, pod)
            if not (_serves(entry) if leaves else _usable(entry, pod)):
                continue
            found = leaving if leaves else staying
            labels, workload = labels_and_workload(pod, service.namespace)
            place = locality(dict(labels)) or places.get(entry.get("nodeName") or "", "")
            for address in entry.get("addresses") or ():
                for number, target in numbers:
                    endpoint = Endpoint(
                        address=address,
                        port=target,
                        labels=labels,
                        workload=workload,
                        locality=place,
                        doubtful=not leaves and not _ready(entry),
                    )
                    found.setdefault(number, set()).add(endpoint)
    return {
        number: tuple(sorted(group, key=lambda each: (each.address, each.port)))
        for number, group in sorted((leaving | staying).items())
    }


def selected(
    service: Service, pods: Iterable[Json], places: Mapping[str, str]
) -> dict[int, tuple[Endpoint, ...]]:
    """The ready pods that a service selects, as its endpoints by its port numbers; those that leave as `endpoints` has it."""
    staying: dict[int, list[Endpoint]] = {}
    leaving: dict[int, list[Endpoint]] = {}
    for pod in pods:
        labels, workload = labels_and_workload(pod, service.namespace)
        well = pod.get("addresses") and (pod.get("ready") or pod.get("well"))
        if not (well and service.selects(labels)):
            continue
        found = leaving if pod["metadata"].get("deletionTimestamp") else staying
        place = locality(dict(labels)) or places.get(pod.get("node") or "", "")
        for port in service.ports:
            found.setdefault(port.number, []).extend(
                Endpoint(
                    address=address,
                    port=int(port.target),
                    labels=labels,
                    workload=workload,
                    locality=place,
                )
                for address in pod["addresses"]
            )
    return {
        number: tuple(sorted(group, key=lambda each: each.address))
        for number, group in sorted((leaving | staying).items())
    }


def identified(
    ports: Mapping[int, tuple[Endpoint, ...]], peers: PeerPolicies
) -> dict[int, tuple[Endpoint, ...]]:
    """The same endpoints; those whose proxies take mutual TLS with the identity that they will prove."""
    return {
        number: tuple(_identified(endpoint, peers) for endpoint in group)
        for number, group in ports.items()
    }


def _identified(endpoint: Endpoint, peers: PeerPolicies) -> Endpoint:
    workload = endpoint.workload
    if workload is None or TLS_MODE not in endpoint.labels:
        return endpoint
    modes = peers.modes(workload.namespace, endpoint.labels)
    if modes.on(endpoint.port) is PeerMode.DISABLE:
        return endpoint
    return replace(endpoint, identity=Identity(workload.namespace, workload.account).uri)


def _slice_ports(service: Service, piece: Json) -> list[tuple[int, int]]:
    """(service port, endpoint port) pairs: they share their name."""
    by_name = {port.get("name") or "": port.get("port") for port in piece.get("ports") or ()}
    return [
        (port.number, int(target))
        for port in service.ports
        if (target := by_name.get(port.name)) is not None
    ]


def _pod(namespace: str, entry: Json, pod_of: PodOf) -> Json | None:
    target = entry.get("targetRef") or {}
    if target.get("kind") != "Pod":
        return None
    return pod_of(target.get("namespace") or namespace, target["name"])


def _ready(entry: Json) -> bool:
    return (entry.get("conditions") or {}).get("ready") is not False


def _leaves(entry: Json, pod: Json | None) -> bool:
    """Whether the pod is being deleted; it says so earlier than the slice."""
    if (entry.get("conditions") or {}).get("terminating"):
        return True
    return pod is not None and bool(pod["metadata"].get("deletionTimestamp"))


def _serves(entry: Json) -> bool:
    """Whether a pod that is being deleted still passes its probes; `ready` is what a slice says that doesn't know yet."""
    conditions = entry.get("conditions") or {}
    return bool(conditions.get("serving", conditions.get("ready")))


def _usable(entry: Json, pod: Json | None) -> bool:
    return _ready(entry) or (pod is not None and bool(pod.get("well")))


def _well(pod: Json) -> bool:
    """Whether the pod's containers were ready when its kubelet last reported.

    When the API server was away for longer than the node's grace period, Kubernetes calls every pod unready until the
    kubelets have reported again; only the condition Ready is touched, ContainersReady stays as the kubelet left it.
    """
    if (pod.get("spec") or {}).get("readinessGates"):
        return False
    return _is(pod, "ContainersReady")


def _is(pod: Json, condition: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((each["type"], each["status"]) == (condition, "True") for each in conditions)


def labels_and_workload(
    pod: Json | None, namespace: str
) -> tuple[frozenset[tuple[str, str]], Workload | None]:
    """A pod's labels and the workload it is counted as."""
    if pod is None:
        return frozenset(), None
    labels = pod["metadata"].get("labels") or {}
    return frozenset(labels.items()), workload(
        namespace=pod["metadata"].get("namespace") or namespace,
        name=workload_of(dict(pod), namespace).name,
        labels=labels,
        account=(pod.get("spec") or {}).get("serviceAccountName") or "default",
    )


def locality(labels: Mapping[str, str]) -> str:
    """What a pod says of its place, by a label whose dots stand for slashes; empty where it says nothing."""
    return labels.get(_LOCALITY, "").replace(".", "/")


def node_locality(labels: Mapping[str, str]) -> str:
    """Where a node is, by its labels."""
    parts = (
        labels.get("topology.kubernetes.io/region")
        or labels.get("failure-domain.beta.kubernetes.io/region"),
        labels.get("topology.kubernetes.io/zone")
        or labels.get("failure-domain.beta.kubernetes.io/zone"),
        labels.get("topology.istio.io/subzone"),
    )
    return "/".join(part or "" for part in parts).rstrip("/")


def trim_node(node: dict[str, Any]) -> dict[str, Any]:
    """What the mesh needs of a node: its labels, not its heartbeats."""
    metadata = node["metadata"]
    return {"metadata": {k: metadata.get(k) for k in ("name", "uid", "resourceVersion", "labels")}}


def workload(*, namespace: str, name: str, labels: Mapping[str, str], account: str) -> Workload:
    """A workload by its name and its pods' labels."""
    return Workload(
        namespace=namespace,
        name=name,
        app=labels.get("app") or labels.get("app.kubernetes.io/name") or "unknown",
        version=labels.get("version") or labels.get("app.kubernetes.io/version") or "unknown",
        canonical=canonical_name(dict(labels), name),
        revision=canonical_revision(dict(labels)),
        account=account,
    )


def trim_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """What the mesh needs of a pod: most of its bytes go, since there are many."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    kept = (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "labels",
        "ownerReferences",
        "deletionTimestamp",
    )
    containers = [
        {"ports": [{k: port[k] for k in ("name", "containerPort") if k in port} for port in ports]}
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        if (ports := container.get("ports"))
    ]
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"serviceAccountName": spec.get("serviceAccountName"), "containers": containers},
        "well": _well(pod),
        "ready": _is(pod, "Ready"),
        "addresses": [each["ip"] for each in (pod.get("status") or {}).get("podIPs") or ()],
        "node": spec.get("nodeName") or "",
    }
