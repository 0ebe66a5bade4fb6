"""A set of objects, sorted by kind, and what the control plane makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rollout.mesh.ingest.feed import ROUTING_KINDS, Feed
from rollout.mesh.ingest.services import Json
from rollout.mesh.model.registry import Registry

_KUBERNETES = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


class World:
    """`objects` by kind, each with its namespace; `registry` and `feed` as they would be in the control plane."""

    def __init__(self, objects: Iterable[Json], root_namespace: str) -> None:
        self.objects: dict[str, list[Json]] = defaultdict(list)
        for obj in objects:
            self.objects[str(obj.get("kind"))].append(_placed(obj))
        self.system = frozenset({*_KUBERNETES, root_namespace})
        self.registry = Registry(root_namespace)
        self.feed = Feed(self.registry, slices_of=lambda *_: (), pod_of=lambda *_: None)
        for service in self.objects["Service"]:
            self.feed.service(*_key(service), service)
        for kind in ROUTING_KINDS:
            for obj in self.objects[kind]:
                self.feed.routing(kind, *_key(obj), obj)
        self.feed.flush()

    @property
    def injected(self) -> frozenset[str]:
        """The namespaces whose new pods get a proxy."""
        return frozenset(
            obj["metadata"]["name"]
            for obj in self.objects["Namespace"]
            if _asks(obj["metadata"].get("labels") or {})
        )


def _asks(labels: Mapping[str, str]) -> bool:
    """By a revision's name too, since `istio-injection` takes precedence over it."""
    word = labels.get("istio-injection")
    return "istio.io/rev" in labels if word is None else word == "enabled"


def _placed(obj: Json) -> Json:
    """Files leave the namespace to `kubectl -n`; namespaces themselves are in none."""
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {"namespace": "default", **metadata}}


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
