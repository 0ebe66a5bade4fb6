"""Which Services a target's pods are behind, by selectors alone: pods are not watched. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rollout.kube.objects import Object

Selector = frozenset[tuple[str, str]]


def selectors(services: Iterable[Object]) -> dict[str, Selector]:
    """What each Service selects, by its name; those that select nothing are left out."""
    found = {each["metadata"]["name"]: _selector(each) for each in services}
    return {name: selector for name, selector in found.items() if selector}


def own_services(service: str, arm: str) -> frozenset[str]:
    """Names of the Services that a target means, those of its Canary included."""
    if arm != "all":
        return frozenset({f"{service}-{arm}"})
    return frozenset(
        {service, *(f"{service}-{each}" for each in ("primary", "canary", "baseline"))}
    )


def selected(names: Iterable[str], known: Mapping[str, Selector]) -> Iterator[Selector]:
    """The selectors of those that are there."""
    return (known[name] for name in sorted(names) if name in known)


def share_pods(one: Iterable[Selector], other: Iterable[Selector]) -> bool:
    """Whether all that is selected by some of these is selected by some of those, or the other way round."""
    those = tuple(other)
    return any(each <= that or that <= each for each in one for that in those)


def _selector(service: Object) -> Selector:
    return frozenset(((service.get("spec") or {}).get("selector") or {}).items())
