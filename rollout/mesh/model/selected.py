"""Objects that say something of workloads: of one's own by labels, of a namespace, of the mesh in its root namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from rollout.mesh.model.problem import Ref

Labels = frozenset[tuple[str, str]]


class Selecting(Protocol):
    """Such an object; without a selector it is for its whole namespace. `age` sorts the oldest, which is in force, first."""

    @property
    def ref(self) -> Ref:
        """The object."""
        ...

    @property
    def selector(self) -> Labels:
        """Labels of the workloads that it is for."""
        ...

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts."""
        ...


T = TypeVar("T", bound=Selecting)


class Selected(Generic[T]):
    """All objects of one kind, by namespace."""

    def __init__(self, root_namespace: str) -> None:
        self._root = root_namespace
        self._by_namespace: dict[str, dict[Ref, T]] = {}

    def get(self, ref: Ref) -> T | None:
        """One of them."""
        return self._by_namespace.get(ref.namespace, {}).get(ref)

    def put(self, ref: Ref, obj: T | None) -> None:
        """Puts, replaces or removes one."""
        found = self._by_namespace.setdefault(ref.namespace, {})
        if obj is None:
            found.pop(ref, None)
        else:
            found[ref] = obj
        if not found:
            del self._by_namespace[ref.namespace]

    def all(self) -> Iterator[T]:
        """Every one of them, in force or not."""
        for found in self._by_namespace.values():
            yield from found.values()

    def shadowed(self) -> Iterator[tuple[T, T]]:
        """Those that an older one for the very same workloads keeps from having an effect, with that one."""
        for found in self._by_namespace.values():
            first: dict[Labels, T] = {}
            for obj in sorted(found.values(), key=lambda each: each.age):
                holder = first.setdefault(obj.selector, obj)
                if holder is not obj:
                    yield obj, holder

    def of_mesh(self) -> T | None:
        """What is in force for the mesh."""
        return self.of_namespace(self._root)

    def of_namespace(self, namespace: str) -> T | None:
        """What is in force for a namespace, the mesh's apart."""
        return _oldest(each for each in self._in(namespace) if not each.selector)

    def of_labels(self, namespace: str, labels: Labels) -> T | None:
        """What is in force for just the workloads with these labels."""
        return _oldest(p for p in self._in(namespace) if p.selector and p.selector <= labels)

    def _in(self, namespace: str) -> Iterator[T]:
        yield from self._by_namespace.get(namespace, {}).values()


def _oldest(objects: Iterator[T]) -> T | None:
    return min(objects, key=lambda each: each.age, default=None)
