"""Destinations' rules, by who wrote them and for which host: which one holds for a client."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from rollout.mesh.model.hosts import wildcards
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.traffic import DestinationPolicy


class Rules(dict[Ref, DestinationPolicy]):
    """All of them, by their objects; changed by `put` alone.

    `hashing` is how many choose endpoints by a key, `lasting` how many say anything of connections, `compared` how many
    compare a label of callers with endpoints'.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hashing = self.lasting = 0
        self.compared: Counter[str] = Counter()
        self._by_host: dict[tuple[str, str], list[DestinationPolicy]] = {}

    def put(self, ref: Ref, policy: DestinationPolicy | None) -> None:
        """Puts, replaces or removes one."""
        if (old := self.pop(ref, None)) is not None:
            self._by_host[old.ref.namespace, old.host].remove(old)
            self.hashing -= old.hashes
            self.lasting -= old.lasts
            self.compared -= Counter(old.compared)
        if policy is not None:
            self[ref] = policy
            found = self._by_host.setdefault((ref.namespace, policy.host), [])
            insort(found, policy, key=lambda each: each.age)
            self.hashing += policy.hashes
            self.lasting += policy.lasts
            self.compared += Counter(policy.compared)

    def applying(self, host: str, client: str, owners: Iterable[str]) -> DestinationPolicy | None:
        """The rule for a host that a namespace's clients see: the first owner's (namespaces) that has one."""
        for owner in dict.fromkeys(owners):
            for pattern in (host, *wildcards(host)):
                known = self._by_host.get((owner, pattern), ())
                seen = [each for each in known if not each.exported or client in each.exported]
                if seen:
                    return _merged(seen)
        return None


def _merged(policies: list[DestinationPolicy]) -> DestinationPolicy:
    """The oldest rule, with the subsets that younger ones of its namespace add."""
    first, *others = policies
    if not others:
        return first
    subsets = {subset.name: subset for policy in reversed(policies) for subset in policy.subsets}
    return replace(first, subsets=tuple(subsets[name] for name in sorted(subsets)))
