"""The roots that proxies trust, in a ConfigMap of every namespace, under Istio's name.

Level-triggered: what is deleted or overwritten is written again. Knows nothing of keys.
"""

from __future__ import annotations

from rollout.api.kinds import CONFIG_MAP, NAMESPACE
from rollout.kube.cache import Cache
from rollout.kube.errors import Forbidden, KubeError, NotFound
from rollout.kube.fence import FencedWriter
from rollout.kube.queue import WorkQueue, run_workers
from rollout.kube.store import Change

NAME, KEY = "istio-ca-root-cert", "root-cert.pem"
_WITHOUT = frozenset({"kube-system", "kube-public", "kube-node-lease"})


class RootPublisher:
    """Writes the bundle wherever pods may need it and the writer may write. Create it before the cache runs."""

    def __init__(self, cache: Cache, writer: FencedWriter) -> None:
        self._namespaces = cache.watch(NAMESPACE)
        self._config_maps = cache.watch(CONFIG_MAP, name=NAME)
        self._writer = writer
        self._bundle = b""
        self._queue: WorkQueue[str] = WorkQueue(cap=30.0)
        self._namespaces.subscribe(self._on_namespace)
        self._config_maps.subscribe(self._on_config_map)

    def publish(self, bundle: bytes) -> None:
        """From now on these; PEM."""
        if bundle != self._bundle:
            self._bundle = bundle
            self.look()

    def look(self) -> None:
        """Any of them may lack it."""
        for namespace in self._namespaces.list():
            self._queue.add(namespace["metadata"]["name"])

    async def run(self) -> None:
        """Writes until cancelled."""
        await run_workers(self._queue, self._write, 2)

    def _on_namespace(self, change: Change) -> None:
        if change.old is None:
            self._queue.add(change.key.name)

    def _on_config_map(self, change: Change) -> None:
        self._queue.add(change.key.namespace)

    async def _write(self, namespace: str) -> None:
        found = self._namespaces.get("", namespace)
        if not self._bundle or found is None or namespace in _WITHOUT:
            return
        if not self._writer.holds(namespace):
            return
        if found["metadata"].get("deletionTimestamp"):
            return
        desired = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "namespace": namespace,
                "name": NAME,
                "labels": {"istio.io/config": "true", "app.kubernetes.io/managed-by": "rollout"},
            },
            "data": {KEY: self._bundle.decode()},
        }
        observed = self._config_maps.get(namespace, NAME)
        try:
            await self._writer.apply(CONFIG_MAP, desired, observed)
        except (NotFound, Forbidden):
            return  # the namespace is going
        except KubeError:
            self._queue.add_backoff(namespace)
        else:
            self._queue.forget(namespace)
