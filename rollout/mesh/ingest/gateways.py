"""Gateways to what their proxies listen for: HTTP, in this version."""

from __future__ import annotations

from rollout.api.istio.gateway import Gateway as Parsed
from rollout.api.istio.gateway import Server
from rollout.mesh.model.gateway import Gateway, GatewayServer
from rollout.mesh.model.problem import Problem, Ref

_HTTP = frozenset({"HTTP", "HTTP2", "GRPC"})
_REMEDY = "use protocol HTTP, or wait for a version that acts upon it"


def gateway(parsed: Parsed) -> tuple[Gateway, list[Problem]]:
    """The gateway with its HTTP servers; the others are problems."""
    ref = Ref("Gateway", parsed.namespace, parsed.name)
    problems = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    servers: list[GatewayServer] = []
    for index, server in enumerate(parsed.spec.servers):
        path = f"spec.servers[{index}]"
        protocol = server.port.protocol.upper()
        if protocol not in _HTTP:
            reason = f"{protocol} is not acted upon by this version"
            problems.append(Problem(ref, f"{path}.port.protocol", reason, _REMEDY))
            continue
        if server.tls is not None:
            reason = "is not acted upon by this version"
            problems.append(Problem(ref, f"{path}.tls", reason, _REMEDY))
        servers.append(GatewayServer(port=server.port.number, hosts=_hosts(server)))
    found = Gateway(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        selector=frozenset(parsed.spec.selector.items()),
        servers=tuple(servers),
    )
    return found, problems


def _hosts(server: Server) -> tuple[tuple[str, str], ...]:
    pairs = []
    for entry in server.hosts:
        namespace, slash, host = entry.rpartition("/")
        pairs.append((namespace if slash else "*", host.lower()))
    return tuple(pairs)
