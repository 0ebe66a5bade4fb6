"""Discovery selectors: which namespaces the mesh looks at. What is in others is to it as if it were not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rollout.api.istio.meshconfig import MeshConfig
from rollout.api.kinds import NAMESPACE
from rollout.kube.cache import Cache
from rollout.kube.objects import Object, key_of, selector_matches
from rollout.kube.store import Change, Store

Handler = Callable[[Change], None]


def discovery_selectors(config: MeshConfig) -> tuple[Object, ...]:
    """The selectors as Kubernetes writes them."""
    return tuple(
        {
            "matchLabels": dict(each.match_labels),
            "matchExpressions": [
                {"key": one.key, "operator": one.operator, "values": list(one.values)}
                for one in each.match_expressions
            ],
        }
        for each in config.discovery_selectors
    )


class Discovery:
    """Namespaces that any of the selectors (LabelSelectors; none: all) selects, and the mesh's own in any case."""

    def __init__(self, cache: Cache, selectors: Sequence[Object], root_namespace: str) -> None:
        self._selectors = tuple(selectors)
        self._root = root_namespace
        self._seen: set[str] = set()
        self._followed: list[tuple[Store, Handler]] = []
        if selectors:
            cache.watch(NAMESPACE).subscribe(self._on_namespace)

    def sees(self, namespace: str) -> bool:
        """Whether the mesh looks at a namespace."""
        return not self._selectors or namespace == self._root or namespace in self._seen

    def follow(self, store: Store, handler: Handler) -> None:
        """Tells of changes in namespaces that are looked at; objects come and go together with their namespace's labels."""

        def told(change: Change) -> None:
            if self.sees(change.key.namespace):
                handler(change)

        self._followed.append((store, handler))
        store.subscribe(told)

    def _on_namespace(self, change: Change) -> None:
        name = change.key.name
        labels = (change.new["metadata"].get("labels") or {}) if change.new else {}
        chosen = change.new is not None and any(
            selector_matches(selector, labels) for selector in self._selectors
        )
        if chosen is (name in self._seen):
            return
        (self._seen.add if chosen else self._seen.discard)(name)
        if name == self._root:
            return
        for store, handler in self._followed:
            for obj in store.list(name):
                old, new = (None, obj) if chosen else (obj, None)
                handler(Change(store.kind, key_of(obj), old, new))
