"""The rules that send a pod's traffic through Envoy, written once by a root init container.

Chains, ports and exclusions are Istio's. The rules are pure text; `apply` hands them to `iptables-restore`.
Must not know what Envoy does with the traffic.
"""

from __future__ import annotations

import ipaddress
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from rollout.mesh.agent.settings import (
    AGENT_PORT,
    INBOUND_PORT,
    OUTBOUND_PORT,
    PROMETHEUS_PORT,
    PROXY_UID,
    READINESS_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Envoy's connections to its own application carry this source, so that they don't come back to Envoy.
BYPASS = {4: "127.0.0.6/32", 6: "::6/128"}
LOOPBACK = {4: "127.0.0.1/32", 6: "::1/128"}
OWN_PORTS = (AGENT_PORT, READINESS_PORT, PROMETHEUS_PORT)
SECONDS = 30
IN_PORTS, OUT_RANGES = "INCLUDE_INBOUND_PORTS", "INCLUDE_OUTBOUND_IP_RANGES"


class RulesError(ValueError):
    """The rules could not be made or applied; the text says which and what to do."""


class Exclusions(NamedTuple):
    """What is not intercepted, from the pod's `traffic.sidecar.istio.io/` annotations.

    Where `only_` names ports or ranges (None: all), others are not; outbound ports of `also_` are in any case.
    """

    inbound_ports: tuple[int, ...] = ()
    outbound_ports: tuple[int, ...] = ()
    outbound_ranges: tuple[str, ...] = ()
    only_inbound_ports: tuple[int, ...] | None = None
    only_outbound_ranges: tuple[str, ...] | None = None
    also_outbound_ports: tuple[int, ...] = ()
    families: tuple[int, ...] = (4,)


def from_environment(env: Mapping[str, str]) -> Exclusions:
    """Read the exclusions; `RulesError` names the annotation that makes no sense."""
    ips = _items(env.get("INSTANCE_IPS", ""))
    return Exclusions(
        inbound_ports=_ports(env, "EXCLUDE_INBOUND_PORTS"),
        outbound_ports=_ports(env, "EXCLUDE_OUTBOUND_PORTS"),
        outbound_ranges=_ranges(env, "EXCLUDE_OUTBOUND_IP_RANGES"),
        only_inbound_ports=_ports(env, IN_PORTS) if IN_PORTS in env else None,
        only_outbound_ranges=_ranges(env, OUT_RANGES) if OUT_RANGES in env else None,
        also_outbound_ports=_ports(env, "INCLUDE_OUTBOUND_PORTS"),
        families=(4, 6) if any(":" in ip for ip in ips) else (4,),
    )


def rules(exclusions: Exclusions, family: int = 4, existing: str = "") -> str:
    """Input for `iptables-restore --noflush`; applied again it changes nothing.

    `existing` is what `iptables-save -t nat` says: the jumps that are there already are left out.
    """
    jumps = [
        jump
        for jump in ("-A PREROUTING -p tcp -j ISTIO_INBOUND", "-A OUTPUT -p tcp -j ISTIO_OUTPUT")
        if jump not in existing.splitlines()
    ]
    # Naming a chain empties it, which is what makes a second run harmless.
    chains = [
        f":{chain} - [0:0]"
        for chain in ("ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_INBOUND", "ISTIO_OUTPUT")
    ]
    redirects = [
        f"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}",
        f"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {INBOUND_PORT}",
    ]
    body = [*_inbound(exclusions), *_outbound(exclusions, family)]
    return "\n".join(["*nat", *chains, *redirects, *jumps, *body, "COMMIT", ""])


def apply(exclusions: Exclusions) -> int:
    """Write the rules into this network namespace; needs NET_ADMIN and root. Returns 0 or raises `RulesError`."""
    for family in exclusions.families:
        prefix = "ip6tables" if family == 6 else "iptables"
        existing = _run([f"{prefix}-save", "-t", "nat"], "")
        text = rules(exclusions, family, existing)
        _run([f"{prefix}-restore", "--noflush"], text)
        print(text, end="")  # noqa: T201 - the init container's log shows what was set
    return 0


def _inbound(exclusions: Exclusions) -> list[str]:
    ports = (*OWN_PORTS, *exclusions.inbound_ports)
    return [
        *(f"-A ISTIO_INBOUND -p tcp --dport {port} -j RETURN" for port in ports),
        *_to(
            "-A ISTIO_INBOUND -p tcp", "--dport", exclusions.only_inbound_ports, "ISTIO_IN_REDIRECT"
        ),
    ]


def _to(head: str, option: str, only: Sequence[object] | None, target: str) -> list[str]:
    """Everything to a chain, or what is named only."""
    if only is None:
        return [f"{head} -j {target}"]
    return [f"{head} {option} {each} -j {target}" for each in only]


def _outbound(exclusions: Exclusions, family: int) -> list[str]:
    out, loopback = "-A ISTIO_OUTPUT", LOOPBACK[family]
    lines = [f"{out} -s {BYPASS[family]} -o lo -j RETURN"]
    for owner in ("uid", "gid"):
        proxy = f"-m owner --{owner}-owner {PROXY_UID}"
        # A call of the application to its own Service comes back as inbound traffic, as from any other pod.
        lines += [
            f"{out} ! -d {loopback} -o lo -p tcp {proxy} -j ISTIO_IN_REDIRECT",
            f"{out} -o lo -m owner ! --{owner}-owner {PROXY_UID} -j RETURN",
            f"{out} {proxy} -j RETURN",
        ]
    lines.append(f"{out} -d {loopback} -j RETURN")
    lines += [f"{out} -p tcp --dport {port} -j RETURN" for port in exclusions.outbound_ports]
    lines += [
        f"{out} -d {cidr} -j RETURN"
        for cidr in exclusions.outbound_ranges
        if ipaddress.ip_network(cidr).version == family
    ]
    lines += _to(f"{out} -p tcp", "--dport", exclusions.also_outbound_ports, "ISTIO_REDIRECT")
    only = exclusions.only_outbound_ranges
    if only is not None:
        only = tuple(each for each in only if ipaddress.ip_network(each).version == family)
    return [*lines, *_to(out, "-d", only, "ISTIO_REDIRECT")]


def _run(arguments: list[str], text: str) -> str:
    remedy = "the istio-init container needs root, NET_ADMIN, NET_RAW and a kernel with nf_tables"
    try:
        done = subprocess.run(
            arguments, input=text, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesError(f"{arguments[0]}: {error}; {remedy}") from error
    if done.returncode:
        raise RulesError(f"{arguments[0]}: {done.stderr.strip()}; {remedy}")
    return done.stdout


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _ports(env: Mapping[str, str], name: str) -> tuple[int, ...]:
    items = _items(env.get(name, ""))
    for item in items:
        if not item.isdigit() or not 0 < int(item) < 65536:
            raise RulesError(f"{name}: {item!r} is no port; correct the pod's annotation")
    return tuple(map(int, items))


def _ranges(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(item)) for item in _items(env.get(name, "")))
    except ValueError as error:
        raise RulesError(f"{name}: {error}; correct the pod's annotation") from error
