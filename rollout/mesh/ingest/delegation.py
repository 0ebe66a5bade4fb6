"""Rules that other VirtualServices give: a table's delegations replaced by the delegates' rules, as Istio merges them.

A delegate has no hosts and is a table of no proxy. What a delegating rule asks of requests and what the delegate's does
must both hold; what the delegate leaves unsaid the delegating rule says. Delegates don't delegate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import (
    Delegation,
    HeaderEdits,
    Match,
    MatchKind,
    Route,
    RouteTable,
    StringMatch,
)

_NO_EDITS = HeaderEdits()


class Delegations:
    """Puts tables into a registry, each with what it delegates filled in."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tables: dict[Ref, RouteTable] = {}
        self._asking: dict[Ref, set[Ref]] = {}
        self._problems: dict[Ref, tuple[Problem, ...]] = {}

    def put(self, ref: Ref, table: RouteTable | None) -> None:
        """A table came, changed or (None) went."""
        before = self._tables.pop(ref, None)
        for asked in _delegates(before):
            self._asking[asked].discard(ref)
        if table is not None:
            self._tables[ref] = table
        for asked in _delegates(table):
            self._asking.setdefault(asked, set()).add(ref)
        for each in (ref, *sorted(self._asking.get(ref, ()))):
            self._settle(each)

    def problems(self) -> dict[Ref, tuple[Problem, ...]]:
        """Delegations that come to nothing."""
        return dict(self._problems)

    def _settle(self, ref: Ref) -> None:
        table = self._tables.get(ref)
        self._problems.pop(ref, None)
        if table is None or not table.hosts:
            self._registry.set_table(ref, None)
            return
        problems: list[Problem] = []
        routes = tuple(self._filled_in(table, problems)) if any(_delegates(table)) else table.routes
        if problems:
            self._problems[ref] = tuple(problems)
        self._registry.set_table(ref, replace(table, routes=routes))

    def _filled_in(self, table: RouteTable, problems: list[Problem]) -> Iterator[Route]:
        for route in table.routes:
            if not isinstance(route.action, Delegation):
                yield route
                continue
            found = list(self._merged(table, route, route.action.to, problems))
            if not found and not any(p.field.startswith(_path(route)) for p in problems):
                reason = f"no rule of {route.action.to} takes what this one does"
                problems.append(_problem(table, route, reason, "let their matches overlap"))
            yield from found

    def _merged(
        self, table: RouteTable, root: Route, to: Ref, problems: list[Problem]
    ) -> Iterator[Route]:
        delegate = self._tables.get(to)
        if delegate is None or (delegate.exported and table.ref.namespace not in delegate.exported):
            reason = f"{to} does not exist, or is not exported to this namespace"
            problems.append(_problem(table, root, reason, "create it, or correct the name"))
            return
        if delegate.hosts:
            reason = f"{to} has hosts of its own"
            problems.append(_problem(table, root, reason, "remove its hosts and gateways"))
            return
        for leaf in delegate.routes:
            if isinstance(leaf.action, Delegation):
                reason = f"{to} delegates itself, in spec.http[{leaf.index}]"
                problems.append(_problem(table, root, reason, "delegate to that directly"))
                continue
            matches = tuple(_both(root.matches, leaf.matches))
            if matches or not (root.matches or leaf.matches):
                yield _completed(root, leaf, matches)


def _delegates(table: RouteTable | None) -> Iterator[Ref]:
    for route in table.routes if table is not None else ():
        if isinstance(route.action, Delegation):
            yield route.action.to


def _path(route: Route) -> str:
    return f"spec.http[{route.index}].delegate"


def _problem(table: RouteTable, route: Route, reason: str, remedy: str) -> Problem:
    return Problem(table.ref, _path(route), reason, remedy)


def _completed(root: Route, leaf: Route, matches: tuple[Match, ...]) -> Route:
    return replace(
        leaf,
        index=root.index,
        name="-".join(filter(None, (root.name, leaf.name))),
        matches=matches,
        rewrite=leaf.rewrite or root.rewrite,
        headers=root.headers if leaf.headers == _NO_EDITS else leaf.headers,
        timeout=root.timeout if leaf.timeout is None else leaf.timeout,
        retries=leaf.retries or root.retries,
        mirrors=leaf.mirrors or root.mirrors,
        cors=leaf.cors or root.cors,
        fault=leaf.fault or root.fault,
    )


def _both(roots: tuple[Match, ...], leaves: tuple[Match, ...]) -> Iterator[Match]:
    """What is asked by one of either; where one asks nothing, what the other does."""
    if not roots or not leaves:
        yield from roots or leaves
        return
    for leaf in leaves:
        for root in roots:
            if (match := _narrowed(root, leaf)) is not None:
                yield match


def _narrowed(root: Match, leaf: Match) -> Match | None:
    texts = ("uri", "method", "authority", "scheme")
    if any(_contradict(getattr(root, name), getattr(leaf, name)) for name in texts):
        return None
    pairs = ("headers", "without_headers", "query")
    if any(_contradicting(dict(getattr(root, n)), dict(getattr(leaf, n))) for n in pairs):
        return None
    if root.port and leaf.port and root.port != leaf.port:
        return None
    if any(dict(root.caller).get(key, value) != value for key, value in leaf.caller):
        return None
    return Match(
        uri=leaf.uri or root.uri,
        method=leaf.method or root.method,
        authority=leaf.authority or root.authority,
        scheme=leaf.scheme or root.scheme,
        headers=_joined(root.headers, leaf.headers),
        without_headers=_joined(root.without_headers, leaf.without_headers),
        query=_joined(root.query, leaf.query),
        port=leaf.port or root.port,
        gateways=root.gateways or leaf.gateways,
        caller=root.caller | leaf.caller,
    )


_Pairs = tuple[tuple[str, StringMatch], ...]


def _joined(root: _Pairs, leaf: _Pairs) -> _Pairs:
    return tuple(sorted((dict(root) | dict(leaf)).items(), key=lambda pair: pair[0]))


def _contradicting(root: dict[str, StringMatch], leaf: dict[str, StringMatch]) -> bool:
    return any(_contradict(root.get(name), value) for name, value in leaf.items())


def _contradict(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    """Whether the delegate's comparison is not known to be the narrower one."""
    if root is None or leaf is None or root == leaf or root.kind is MatchKind.PRESENT:
        return False
    plain = {MatchKind.EXACT, MatchKind.PREFIX}
    if root.kind is not MatchKind.PREFIX or leaf.kind not in plain:
        return True
    if root.ignore_case:
        return not leaf.value.lower().startswith(root.value.lower())
    return leaf.ignore_case or not leaf.value.startswith(root.value)
