"""The objects of one kind as this process knows them: what reconcilers read instead of asking the API server.

Filled by a reflector (what the server announces) and by the writer (what the server answered), in whatever order the
two arrive; the resource version decides. Knows neither requests nor the meaning of the objects.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import structlog

from rollout.api.kinds import Kind
from rollout.kube.objects import Key, Object, Objects, key_of, version_of

Trim = Callable[[Object], Object]
Indexer = Callable[[Object], Iterable[Hashable]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One object came (`old` is None), changed, or went (`new` is None)."""

    kind: Kind
    key: Key
    old: Object | None
    new: Object | None


def drop_managed_fields(obj: Object) -> Object:
    """The default trim: field ownership is most of an object's bytes, and nobody here reads it."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Store:
    """Objects by key, with indices and subscribers. All calls come from the event loop's thread.

    `trim` takes a freshly decoded object before it enters, and may change it in place. `accepts` says which objects the
    watch behind the store covers (its namespace, its selector): what it refuses never enters.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        trim: Trim = drop_managed_fields,
        accepts: Callable[[Object], bool] | None = None,
    ) -> None:
        self.kind = kind
        self.version = 0  # everything the server announced up to here has been applied
        self._trim = trim
        self._accepts = accepts
        self._objects: dict[str, dict[str, Object]] = {}
        self._indexers: dict[str, Indexer] = {}
        self._indices: dict[str, dict[Hashable, set[Key]]] = {}
        self._values: dict[str, dict[Key, tuple[Hashable, ...]]] = {}
        self._subscribers: list[Callable[[Change], None]] = []

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, namespace: str, name: str) -> Object | None:
        """The object, or None; `namespace` is empty for cluster-scoped kinds."""
        return self._objects.get(namespace, {}).get(name)

    def list(self, namespace: str | None = None) -> Objects:
        """All objects, or those of one namespace, sorted by key."""
        namespaces = sorted(self._objects) if namespace is None else (namespace,)
        return [
            obj for each in namespaces for _, obj in sorted(self._objects.get(each, {}).items())
        ]

    def index(self, name: str, fn: Indexer) -> None:
        """Keep an index: `fn` gives the values under which an object is to be found."""
        self._indexers[name] = fn
        self._indices[name], self._values[name] = {}, {}
        for obj in self.list():
            self._reindex(name, key_of(obj), obj)

    def by_index(self, name: str, value: Hashable) -> Objects:
        """The objects under a value of an index, sorted by key."""
        keys = sorted(self._indices[name].get(value, ()))
        return [self._objects[key.namespace][key.name] for key in keys]

    def subscribe(self, fn: Callable[[Change], None]) -> Callable[[], None]:
        """Call `fn` with each change from now on; answers how to stop. `fn` must be quick (put a key on a queue)."""
        self._subscribers.append(fn)
        return lambda: self._subscribers.remove(fn)

    def put(self, obj: Object, *, announced: bool = False) -> bool:
        """Take the object in unless what is known is as new or newer; says whether anything changed.

        `announced` marks an object from the watch. Another one (a write's answer) that is not newer than what the watch
        has already shown, and is not here, was deleted meanwhile: it must not come back.
        """
        key, version = key_of(obj), version_of(obj)
        old = self.get(*key)
        if announced:
            self.version = max(self.version, version)
        elif old is None and version <= self.version:
            return False
        if old is not None and version <= version_of(old):
            return False
        if self._accepts is not None and not self._accepts(obj):
            return old is not None and self._remove(key, old)
        obj = self._trim(obj)
        self._objects.setdefault(key.namespace, {})[key.name] = obj
        self._changed(Change(self.kind, key, old, obj))
        return True

    def remove(self, obj: Object) -> bool:
        """Apply an announced deletion (`obj` as it was last, at the version of its deletion)."""
        key, version = key_of(obj), version_of(obj)
        self.version = max(self.version, version)
        old = self.get(*key)
        if old is None or version < version_of(old):
            return False
        return self._remove(key, old)

    def replace(self, objects: Iterable[Object], version: int) -> int:
        """Apply a whole list taken at `version`; answers how many objects changed.

        What the list lacks is gone, unless it was written after the list was taken. A list older than what was already
        announced means that the server's data was restored from a backup: then the list alone counts.
        """
        if version < self.version:
            log.warning(
                "resource versions went back: the server was restored; starting over",
                kind=self.kind.kind,
                known=self.version,
                listed=version,
            )
            listed = list(objects)
            changes = sum(self._remove(key_of(obj), obj) for obj in self.list())
            self.version = 0
            return changes + self.replace(listed, version)
        changes, present = 0, set()
        for obj in objects:
            present.add(key_of(obj))
            changes += self.put(obj, announced=True)
        for obj in self.list():
            if key_of(obj) not in present and version_of(obj) <= version:
                changes += self._remove(key_of(obj), obj)
        self.version = version
        return changes

    def progress(self, version: int) -> None:
        """A bookmark: everything up to `version` has been announced."""
        self.version = max(self.version, version)

    def _remove(self, key: Key, old: Object) -> bool:
        names = self._objects[key.namespace]
        del names[key.name]
        if not names:
            del self._objects[key.namespace]
        self._changed(Change(self.kind, key, old, None))
        return True

    def _changed(self, change: Change) -> None:
        for name in self._indexers:
            self._reindex(name, change.key, change.new)
        for fn in tuple(self._subscribers):
            try:
                fn(change)
            except Exception:  # one reader's mistake must not stop the reflector that feeds all
                log.exception("a subscriber failed", kind=self.kind.kind, key=str(change.key))

    def _reindex(self, name: str, key: Key, obj: Object | None) -> None:
        index, values_of = self._indices[name], self._values[name]
        for value in values_of.pop(key, ()):
            index[value].discard(key)
            if not index[value]:
                del index[value]
        try:
            values = () if obj is None else tuple(dict.fromkeys(self._indexers[name](obj)))
        except Exception:  # an object that an indexer cannot read is merely not found by it
            log.exception("an indexer failed", kind=self.kind.kind, key=str(key), index=name)
            values = ()
        if values:
            values_of[key] = values
        for value in values:
            index.setdefault(value, set()).add(key)
