"""The tcp and tls rules of VirtualServices into the model; one that cannot be acted upon is left out and said."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from rollout.api.istio.virtualservice import (
    L4MatchAttributes,
    RouteDestination,
    TLSMatchAttributes,
    VirtualService,
)
from rollout.mesh.ingest.hosts import destination_of, gateway_key
from rollout.mesh.model import routing as ir
from rollout.mesh.model.hosts import covers
from rollout.mesh.model.problem import Problem, Ref


class ConnectionRules:
    """Reads the rules of one VirtualService for connections, gathering its problems."""

    def __init__(self, parsed: VirtualService, ref: Ref) -> None:
        self._parsed, self._ref = parsed, ref
        self.problems: list[Problem] = []

    def tcp(self) -> tuple[ir.ConnectionRoute, ...]:
        """The rules for plain connections."""
        found = (
            self._route(f"spec.tcp[{index}]", index, rule.match, rule.route)
            for index, rule in enumerate(self._parsed.spec.tcp)
        )
        return tuple(rule for rule in found if rule is not None)

    def tls(self) -> tuple[ir.ConnectionRoute, ...]:
        """The rules for TLS that is passed on as it comes."""
        found = []
        for index, rule in enumerate(self._parsed.spec.tls):
            path = f"spec.tls[{index}]"
            if not rule.match:
                self._say(f"{path}.match", "is missing", "match sniHosts")
                continue
            if (made := self._route(path, index, rule.match, rule.route)) is not None:
                found.append(made)
        return tuple(found)

    def _say(self, field: str, reason: str, remedy: str) -> None:
        self.problems.append(Problem(self._ref, field, reason, remedy))

    def _route(
        self,
        path: str,
        index: int,
        matches: Sequence[L4MatchAttributes],
        shares: Sequence[RouteDestination],
    ) -> ir.ConnectionRoute | None:
        if not shares:
            self._say(f"{path}.route", "is empty", "name a destination")
            return None
        weights = [100 if len(shares) == 1 else share.weight or 0 for share in shares]
        if not 0 < sum(weights) < 2**32:
            reason = f"the weights sum up to {sum(weights)}"
            self._say(f"{path}.route", reason, "give at least one destination a weight")
            return None
        faults = [
            Problem(self._ref, f"{path}.match[{i}]{field}", reason, remedy)
            for i, match in enumerate(matches)
            for field, reason, remedy in self._faults(match)
        ]
        if faults:
            self.problems += faults
            return None
        return ir.ConnectionRoute(
            index=index,
            matches=tuple(self._match(match) for match in matches),
            shares=tuple(
                ir.WeightedDestination(
                    destination=destination_of(share.destination, self._parsed.namespace),
                    weight=weight,
                )
                for share, weight in zip(shares, weights, strict=True)
            ),
        )

    def _faults(self, match: L4MatchAttributes) -> Iterator[tuple[str, str, str]]:
        for i, subnet in enumerate(match.destination_subnets):
            try:
                ipaddress.ip_network(subnet, strict=False)
            except ValueError:
                yield f".destinationSubnets[{i}]", f"{subnet!r} is no subnet", "write address/bits"
        if not isinstance(match, TLSMatchAttributes):
            return
        if not match.sni_hosts:
            yield ".sniHosts", "is empty", "name the servers that clients ask for"
        hosts = [host.lower() for host in self._parsed.spec.hosts]
        for i, name in enumerate(match.sni_hosts):
            if not any(covers(host, name.lower()) for host in hosts):
                yield f".sniHosts[{i}]", f"{name!r} is none of the hosts", "add it to spec.hosts"

    def _match(self, match: L4MatchAttributes) -> ir.ConnectionMatch:
        namespace = match.source_namespace
        caller = [*match.source_labels.items(), *([("", namespace)] if namespace else ())]
        sni = match.sni_hosts if isinstance(match, TLSMatchAttributes) else ()
        return ir.ConnectionMatch(
            port=match.port,
            names=tuple(dict.fromkeys(name.lower() for name in sni)),
            subnets=tuple(
                str(ipaddress.ip_network(each, strict=False)) for each in match.destination_subnets
            ),
            gateways=tuple(gateway_key(name, self._parsed.namespace) for name in match.gateways),
            caller=frozenset(caller),
        )
