"""Names as users write them to names as the mesh knows them."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.api.istio.http import Destination as Written
from rollout.mesh.model.routing import MESH, Destination
from rollout.mesh.model.service import service_host


def resolve(host: str, namespace: str) -> str:
    """A name without a dot is a service of the namespace; others, wildcards too, stand for themselves."""
    host = host.rstrip(".").lower()
    return host if "." in host or host == "*" else service_host(namespace, host)


def gateway_key(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway, `mesh` for the sidecars; `name.namespace` is Istio's older way."""
    if name == MESH:
        return MESH
    first, slash, second = name.partition("/")
    if slash:
        return f"{namespace if first == '.' else first}/{second}"
    name, dot, other = name.partition(".")
    return f"{other.split('.')[0]}/{name}" if dot else f"{namespace}/{name}"


def destination_of(written: Written, namespace: str) -> Destination:
    """A destination with its host resolved."""
    return Destination(
        host=resolve(written.host, namespace),
        port=written.port.number if written.port else None,
        subset=written.subset or "",
    )


def exported(names: Iterable[str], namespace: str) -> frozenset[str]:
    """The namespaces that see an object, by its `exportTo`; none where all do. `~` is no namespace: nobody does."""
    found = frozenset(namespace if name == "." else name for name in names)
    return frozenset() if "*" in found else found
