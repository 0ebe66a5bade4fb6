"""The watches of what makes up the mesh, and the way of each change into the feed. Knows nothing of proxies' configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rollout.api.kinds import (
    ENDPOINT_SLICE,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    KUBERNETES_GATEWAY,
    NAMESPACE,
    NODE,
    POD,
    REFERENCE_GRANT,
    SECRET,
    SERVICE,
)
from rollout.kube.cache import Cache
from rollout.kube.objects import Key, Object, labels_of
from rollout.kube.store import Change
from rollout.mesh.discovery import Discovery
from rollout.mesh.ingest.credentials import trim_secret
from rollout.mesh.ingest.feed import Feed
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.ingest.services import trim_node, trim_pod
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.status import KINDS

GATEWAY_API = (GATEWAY_CLASS, KUBERNETES_GATEWAY, HTTP_ROUTE, GRPC_ROUTE, REFERENCE_GRANT)
_BY_SERVICE, _BY_POD = "service", "pod"
_SERVICE_LABEL = "kubernetes.io/service-name"


class Intake:
    """Everything that is watched for the registry. `changed` is called after each change, `pod_changed` with the pod."""

    def __init__(
        self,
        cache: Cache,
        registry: Registry,
        credential_namespaces: Iterable[str],
        discovery_selectors: Sequence[Object] = (),
    ) -> None:
        self._discovery = Discovery(cache, discovery_selectors, registry.root_namespace)
        self.pods = cache.watch(POD, trim=trim_pod)
        self.routing = {name: cache.watch(kind, optional=True) for name, kind in KINDS.items()}
        self._nodes = cache.watch(NODE, trim=trim_node)
        self.services = cache.watch(SERVICE)
        self._slices = cache.watch(ENDPOINT_SLICE)
        self.ingresses = cache.watch(INGRESS)
        self._ingress_classes = cache.watch(INGRESS_CLASS)
        self.gateway_api = {kind: cache.watch(kind, optional=True) for kind in GATEWAY_API}
        self._namespaces = cache.watch(NAMESPACE)
        everywhere = "*" in (namespaces := set(credential_namespaces))
        self._secrets = [
            cache.watch(SECRET, trim=trim_secret, namespace=namespace)
            for namespace in ([None] if everywhere else sorted(namespaces))
        ]
        self.feed = Feed(
            registry, slices_of=self._slices_of, pod_of=self.pods.get, pods_in=self.pods.list
        )
        self.changed: Callable[[], None] = lambda: None
        self.pod_changed: Callable[[str, str], None] = lambda _namespace, _name: None
        self._subscribe()

    def _slices_of(self, namespace: str, name: str) -> list[Object]:
        return self._slices.by_index(_BY_SERVICE, (namespace, name))

    def _subscribe(self) -> None:
        self._slices.index(_BY_SERVICE, _services_of)
        self._slices.index(_BY_POD, _pods_of)
        self._nodes.subscribe(self._on_node)
        self._discovery.follow(self.services, self._on_service)
        self._discovery.follow(self.ingresses, self._on_ingress)
        self._ingress_classes.subscribe(self._on_ingress_class)
        self._slices.subscribe(self._on_slice)
        self.pods.subscribe(self._on_pod)
        for store in self._secrets:
            store.subscribe(self._on_secret)
        for store in self.routing.values():
            self._discovery.follow(store, self._on_routing)
        for kind, store in self.gateway_api.items():
            if kind.namespaced:
                self._discovery.follow(store, self._on_gateway_api)
            else:
                store.subscribe(self._on_gateway_api)
        self._namespaces.subscribe(self._on_namespace)

    def _on_node(self, change: Change) -> None:
        self.feed.node(change.key.name, change.new)
        self.changed()

    def _on_service(self, change: Change) -> None:
        self.feed.service(*change.key, change.new)
        self.changed()

    def _on_ingress(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _says_the_same(old, new):
            return
        self.feed.ingresses.put(*change.key, new)
        self.changed()

    def _on_ingress_class(self, change: Change) -> None:
        self.feed.ingresses.put_class(change.key.name, change.new)
        self.changed()

    def _on_gateway_api(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _says_the_same(old, new):
            return
        kind = GATEWAY if change.kind == KUBERNETES_GATEWAY else change.kind.kind
        self.feed.gateway_api.put(Ref(kind, *change.key), new)
        self.changed()

    def _on_namespace(self, change: Change) -> None:
        labels = labels_of(change.new) if change.new is not None else None
        self.feed.gateway_api.namespace(change.key.name, labels)
        self.changed()

    def _on_secret(self, change: Change) -> None:
        self.feed.secret(*change.key, change.new)
        self.changed()

    def _on_slice(self, change: Change) -> None:
        for obj in (change.old, change.new):
            if obj is not None:
                self.feed.slice(obj)
        self.changed()

    def _on_pod(self, change: Change) -> None:
        if change.old is not None and change.new is not None and _same(change.old, change.new):
            return
        for piece in self._slices.by_index(_BY_POD, change.key):
            self.feed.slice(piece)
            self.changed()
        if self.feed.pod(change.key.namespace):
            self.changed()
        if change.new is not None:
            self.pod_changed(*change.key)

    def _on_routing(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _says_the_same(old, new):
            return
        self.feed.routing(change.kind.kind, *change.key, new)
        self.changed()


def _services_of(piece: Object) -> Iterator[tuple[str, str]]:
    metadata = piece["metadata"]
    if name := (metadata.get("labels") or {}).get(_SERVICE_LABEL):
        yield metadata["namespace"], name


def _pods_of(piece: Object) -> Iterator[Key]:
    for entry in piece.get("endpoints") or ():
        target = entry.get("targetRef") or {}
        if target.get("kind") == "Pod":
            yield Key(target.get("namespace") or piece["metadata"]["namespace"], target["name"])


def _says_the_same(old: Object, new: Object) -> bool:
    """Whether nothing differs but the status, and what others keep about a routing object."""
    one, other = (each["metadata"].get("annotations") or {} for each in (old, new))
    return old.get("spec") == new.get("spec") and one == other


def _same(old: Object, new: Object) -> bool:
    """Whether nothing differs that the mesh looks at."""
    one, other = (
        {**pod, "metadata": {**pod["metadata"], "resourceVersion": ""}} for pod in (old, new)
    )
    return one == other
