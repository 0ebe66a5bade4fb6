"""Route tables by what is asked of them: the hosts that they are for, the gateways, the destinations that they lead to."""

from __future__ import annotations

from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import MESH, RouteTable

_Index = dict[str, list[RouteTable]]


class Tables(dict[Ref, RouteTable]):
    """All of them, by their objects; changed by `put` alone. `by_address` counts hosts that are addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._mesh: _Index = {}
        self._gateways: _Index = {}
        self._leading_to: dict[str, set[Ref]] = {}
        self.by_address = 0

    def put(self, ref: Ref, table: RouteTable | None) -> None:
        """Puts, replaces or removes one."""
        if (old := self.pop(ref, None)) is not None:
            self._index(old, present=False)
        if table is not None:
            self[ref] = table
            self._index(table, present=True)

    def for_host(self, host: str) -> list[RouteTable]:
        """Those of sidecars that name exactly this host."""
        return self._mesh.get(host, [])

    def mesh_hosts(self) -> list[str]:
        """Hosts that tables for sidecars name, sorted."""
        return sorted(self._mesh)

    def of_gateway(self, gateway: str) -> list[RouteTable]:
        """Those bound to a gateway (`namespace/name`), the oldest first."""
        return sorted(self._gateways.get(gateway, ()), key=lambda table: table.age)

    def leading_to(self, host: str) -> list[RouteTable]:
        """Those with a destination of this host."""
        return [self[ref] for ref in self._leading_to.get(host, ())]

    def _index(self, table: RouteTable, *, present: bool) -> None:
        for gateway in table.gateways:
            if gateway != MESH:
                _toggle(self._gateways, gateway, table, present=present)
                continue
            for host in table.hosts:
                _toggle(self._mesh, host, table, present=present)
                if host.replace(".", "").isdigit():
                    self.by_address += 1 if present else -1
        for host in table.destinations():
            refs = self._leading_to.setdefault(host, set())
            (refs.add if present else refs.discard)(table.ref)
            if not refs:
                del self._leading_to[host]


def _toggle(index: _Index, key: str, table: RouteTable, *, present: bool) -> None:
    items = index.setdefault(key, [])
    if present:
        items.append(table)
    else:
        items.remove(table)
    if not items:
        del index[key]
