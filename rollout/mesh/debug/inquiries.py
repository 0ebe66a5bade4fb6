"""The same over xDS by Istio's types, as istioctl asks them: whoever asks has proved who he is.

Who is of the control plane's own namespace may know everything, others what concerns their own. No secrets are in it.
Contract: istio/istio, pilot/pkg/xds/statusgen.go and debuggen.go; istioctl acts upon the sentences that are Istio's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from envoy.admin.v3 import config_dump_shared_pb2 as dumps
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf import any_pb2

from rollout import __version__
from rollout.mesh.debug.pages import Pages, Pod, named
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, pack
from rollout.mesh.xds.connection import Connection
from rollout.mesh.xds.inquiring import Found

_SYNC, _DUMP, _PAGE = "istio.io/debug/syncz", "istio.io/debug/config_dump", "istio.io/debug"
_STATUS = {
    "SYNCED": csds_pb2.SYNCED,
    "STALE": csds_pb2.STALE,
    "REFUSED": csds_pb2.ERROR,
}
_UNKNOWN_PAGE = b"404 page not found\n"
_UNNAMED_PROXY = b"You must provide a proxyID in the query string\n"
_ABSENT_PROXY = (
    b"Proxy not connected to this Pilot instance. It may be connected to another instance.\n"
)


class Inquiries:
    """Answers; `root_namespace` is the control plane's own, `replica` the name of its pod."""

    def __init__(self, pages: Pages, root_namespace: str, replica: str) -> None:
        self._pages, self._root = pages, root_namespace
        version = {"version": __version__}
        self.identifier = json.dumps({"Component": "istiod", "ID": replica, "Info": version})

    def answer(self, type_url: str, asked: tuple[str, ...], namespace: str) -> list[Found]:
        """What somebody of a namespace may know of it.

        PermissionError where he may not, ValueError where nobody could say what he wants.
        """
        own = "" if namespace == self._root else namespace
        if type_url == _SYNC:
            return [
                Found(named(pod), self._sync(each, pod)) for each, pod in self._pages.connected(own)
            ]
        if type_url not in {_DUMP, _PAGE}:
            raise ValueError(f"{type_url}: nothing is known of this type")
        if len(asked) != 1:
            raise ValueError(f"{type_url}: name one resource, and not {len(asked)}")
        if type_url == _DUMP:
            connection = self._pages.connection(asked[0], own)
            return list(_dump(connection)) if connection else []
        value = self._page(asked[0], own)
        return [Found(asked[0], any_pb2.Any(type_url=_PAGE, value=value))]

    def _sync(self, connection: Connection, pod: Pod) -> Any:
        """The state of each type that a proxy asked for."""
        said: Mapping[str, Any] = connection.node.get("metadata") or {}
        config = csds_pb2.ClientConfig(node=base_pb2.Node(id=named(pod)))
        metadata = {
            "NAMESPACE": pod[0],
            "CLUSTER_ID": said.get("CLUSTER_ID", "Kubernetes"),
            "ISTIO_VERSION": said.get("ROLLOUT_VERSION", ""),
        }
        config.node.metadata.update(metadata)
        errors = self._pages.errors(connection)
        for kind, state in sorted(connection.stream.states.items()):
            told = config.generic_xds_configs.add(type_url=kind, config_status=_STATUS[state])
            if kind in errors:
                told.error_state.details = errors[kind]
        return pack(config)

    def _page(self, asked: str, own: str) -> bytes:
        """A debug page as over HTTP; those of the whole mesh are not for everybody."""
        address = urlsplit(asked)
        proxy = next(iter(parse_qs(address.query).get("proxyID", ())), "")
        every = {"registryz": self._pages.registryz, "endpointz": self._pages.endpointz}
        found: Any
        match address.path:
            case "list":
                found = ["config_dump?proxyID=POD.NAMESPACE", *sorted(every), "syncz"]
            case "syncz":
                found = self._pages.syncz(own)
            case "config_dump" if not proxy:
                return _UNNAMED_PROXY
            case "config_dump":
                found = self._pages.config_dump(proxy, own)
                if found is None:
                    return _ABSENT_PROXY
            case page if page in every:
                if own:
                    raise PermissionError(f"{page} is for service accounts of {self._root} alone")
                found = every[page]()
            case _:
                return _UNKNOWN_PAGE
        return json.dumps(found).encode()


def _dump(connection: Connection) -> Iterator[Found]:
    """What the proxy should have, as Envoy would tell it of itself."""
    held = connection.stream.resources
    wanted = connection.stream.wanted

    def every(kind: str) -> Iterator[Resource]:
        return (held[kind][name] for name in wanted.get(kind, ()))

    clusters = dumps.ClustersConfigDump()
    for each in every(names.CLUSTER):
        clusters.dynamic_active_clusters.add(version_info=each.version, cluster=_body(each))
    listeners = dumps.ListenersConfigDump()
    for each in every(names.LISTENER):
        state = listeners.dynamic_listeners.add(name=each.name).active_state
        state.version_info = each.version
        state.listener.CopyFrom(_body(each))
    hosts: dict[str, list[bytes]] = defaultdict(list)
    for each in every(names.VIRTUAL_HOST):
        hosts[each.name.partition("/")[0]].append(_body(each).value)
    routes = dumps.RoutesConfigDump()
    for each in every(names.ROUTES):
        config = _whole(_body(each), hosts[each.name])
        routes.dynamic_route_configs.add(version_info=each.version, route_config=config)
    yield from (Found("", pack(each)) for each in (clusters, listeners, routes))


def _whole(body: Any, hosts: list[bytes]) -> Any:
    """Routes with the virtual hosts that are resources of their own."""
    if not hosts:
        return body
    config = route_pb2.RouteConfiguration.FromString(body.value)
    for host in hosts:
        config.virtual_hosts.add().ParseFromString(host)
    return pack(config)


def _body(resource: Resource) -> Any:
    framed = discovery_pb2.DeltaDiscoveryResponse.FromString(resource.encoded)
    return framed.resources[0].resource
