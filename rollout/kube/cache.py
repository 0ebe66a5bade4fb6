"""All the stores of one process and the reflectors that fill them, started and awaited together.

Knows which kinds are watched; not why.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION, Kind
from rollout.kube.client import Client
from rollout.kube.metrics import KubeMetrics
from rollout.kube.objects import Object, labels_of, selector_matches, selector_string
from rollout.kube.reflector import Reflector, Scope, Timing
from rollout.kube.store import Store, Trim, drop_managed_fields


class Cache:
    """Watches kinds, in one namespace or in all. Name every `watch` before `run`."""

    def __init__(
        self,
        client: Client,
        namespace: str | None = None,
        *,
        timing: Timing | None = None,
        rng: random.Random | None = None,
        metrics: KubeMetrics | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._timing = timing
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._metrics = metrics or KubeMetrics()
        self._reflectors: dict[tuple[Kind, Scope], Reflector] = {}
        self._optional: set[tuple[Kind, Scope]] = set()
        self._running = False

    def watch(
        self,
        kind: Kind,
        trim: Trim | None = None,
        *,
        namespace: str | None = None,
        name: str | None = None,
        selector: Object | None = None,
        optional: bool = False,
        definitions: bool = False,
    ) -> Store:
        """Watch a kind and answer the store that will hold it; the same kind and scope give the same store.

        `namespace` narrows the cache's own, `name` narrows to one object, `selector` (a LabelSelector) to those that it
        selects. `trim` may shorten each object in place; by default `managedFields` go. With `optional`, a server
        that does not have the kind does not hold up `synced`. With `definitions`, the kind's CustomResourceDefinition is
        watched by its name, so that a kind which is not there is waited for without asking again and again.
        """
        if self._running:
            raise RuntimeError(f"watch of {kind.kind}: the cache is running already")
        scope = Scope(
            namespace=(namespace or self._namespace) if kind.namespaced else None,
            label_selector=selector_string(selector) if selector else None,
            field_selector=f"metadata.name={name}" if name else None,
        )
        known = self._reflectors.get((kind, scope))
        if known is None:
            store = Store(
                kind,
                trim=trim or drop_managed_fields,
                accepts=_accepts(scope.namespace, name, selector),
            )
            known = self._reflectors[kind, scope] = Reflector(
                self._client,
                store,
                scope=scope,
                timing=self._timing,
                rng=self._rng,
                metrics=self._metrics,
                definitions=self._definition_of(kind) if definitions else None,
            )
            if optional:
                self._optional.add((kind, scope))
        elif trim is not None:
            raise ValueError(f"watch of {kind.kind}: watched already, with another trim")
        if not optional:
            self._optional.discard((kind, scope))
        return known.store

    def _definition_of(self, kind: Kind) -> Store:
        return self.watch(
            CUSTOM_RESOURCE_DEFINITION,
            _metadata_only,
            name=f"{kind.plural}.{kind.group}",
            optional=True,
        )

    def stores(self, kind: Kind) -> list[Store]:
        """The stores that hold objects of a kind (more than one where scopes differ)."""
        return [each.store for (known, _), each in self._reflectors.items() if known == kind]

    def unsynced(self) -> list[str]:
        """The kinds whose first list is still outstanding, optional ones left out."""
        return sorted(
            known[0].kind
            for known, reflector in self._reflectors.items()
            if not reflector.synced.is_set() and known not in self._optional
        )

    def is_installed(self, kind: Kind) -> bool:
        """Whether the server has the kind, as far as its reflectors know (a kind not watched counts as installed)."""
        return not any(
            each.missing for (known, _), each in self._reflectors.items() if known == kind
        )

    def has_listed(self, kind: Kind) -> bool:
        """Whether the kind's first list has been read, so that what its stores don't have isn't there."""
        return all(
            each.synced.is_set() for (known, _), each in self._reflectors.items() if known == kind
        )

    async def synced(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - names what is missing
        """Wait until every store has had its first list; raises TimeoutError naming the kinds that have not.

        An optional kind is waited for only until the server has answered, be it that it lacks the kind or refuses it.
        """
        try:
            async with asyncio.timeout(timeout):
                for known, reflector in self._reflectors.items():
                    if known in self._optional:
                        await reflector.answered.wait()
                    else:
                        await reflector.synced.wait()
        except TimeoutError:
            raise TimeoutError(
                f"no list yet of {', '.join(self.unsynced()) or 'optional kinds'}"
                " (is the kind installed, and may this service account list and watch it?)"
            ) from None

    async def run(self) -> None:
        """Reflect until cancelled."""
        self._running = True
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors.values():
                group.create_task(reflector.run())


def _metadata_only(definition: Object) -> Object:
    kept = {key: definition["metadata"][key] for key in ("name", "resourceVersion")}
    definition.clear()
    definition["metadata"] = kept
    return definition


def _accepts(
    namespace: str | None, name: str | None, selector: Object | None
) -> Callable[[Object], bool] | None:
    if namespace is None and name is None and selector is None:
        return None

    def accepts(obj: Object) -> bool:
        metadata = obj["metadata"]
        return (
            namespace in (None, metadata.get("namespace"))
            and name in (None, metadata["name"])
            and (selector is None or selector_matches(selector, labels_of(obj)))
        )

    return accepts
