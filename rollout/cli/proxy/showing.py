"""Fetches what proxies and control planes say of themselves, and prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table as RichTable

from rollout.cli.errors import CommandFailed
from rollout.cli.printing import columns, out
from rollout.cli.proxy import comparing, dump, levels, reaching
from rollout.kube.client import Client

_TYPES = ("cds", "lds", "eds", "rds", "sds")
_DUMP = "/config_dump"


async def connected(client: Client, system: str, output: str) -> None:
    """Every proxy of every control plane; CommandFailed, after that, where one of these does not answer."""
    answers, silent = await reaching.every(client, system, "/debug/syncz")
    found = [
        {**proxy, "controlPlane": plane["metadata"]["name"]}
        for plane, proxies in answers
        for proxy in proxies
    ]
    table = columns("NAME", "TYPE", *map(str.upper, _TYPES), "CONTROL PLANE")
    for proxy in sorted(found, key=lambda each: str(each["proxy"])):
        states = (str(proxy.get(kind, "")) for kind in _TYPES)
        table.add_row(proxy["proxy"], proxy["type"], *states, proxy["controlPlane"])
    out(table, found, output)
    if silent:
        raise CommandFailed(
            f"proxies may be missing here, since not every control plane answers: {'; '.join(silent)}"
        )


async def compare(client: Client, system: str, namespace: str, pod: str, output: str) -> int:
    """What a proxy has beside what it should have; 1 where they differ."""
    wanted = await _wanted(client, system, namespace, pod)
    has = comparing.versions(await reaching.admin(client, namespace, pod, _DUMP))
    differing = list(comparing.differences(wanted, has))
    table = columns("TYPE", "NAME", "STATE")
    for kind, name, state in differing:
        table.add_row(kind, name, state)
    data = [{"type": kind, "name": name, "state": state} for kind, name, state in differing]
    if differing:
        out(table, data, output)
        return 1
    same = ", ".join(f"{len(names)} of {kind}" for kind, names in has.items())
    out(f"{pod}.{namespace} has all that it should have: {same}", data, output)
    return 0


async def _wanted(
    client: Client, system: str, namespace: str, pod: str
) -> Mapping[str, Mapping[str, str]]:
    answers, silent = await reaching.every(client, system, "/debug/syncz")
    for plane, proxies in answers:
        for proxy in proxies:
            if proxy["proxy"] == f"{pod}.{namespace}":
                found: Mapping[str, Mapping[str, str]] = await reaching.debug(
                    client, plane, "/debug/config_dump", proxyID=f"{pod}.{namespace}"
                )
                return found
    unknown = f", as far as is known without {'; '.join(silent)}" if silent else ""
    raise CommandFailed(
        f"the proxy of pod {namespace}/{pod} is not connected to a control plane in {system}{unknown};"
        " `rollout proxy status` lists those that are"
    )


async def configuration(
    client: Client, namespace: str, pod: str, section: str, match: Sequence[str], output: str
) -> None:
    """One part of what a proxy has, or all of it: in rows for people, else as Envoy says it."""
    if section in {"bootstrap", "all"}:
        whole = await reaching.admin(client, namespace, pod, _DUMP)
        data = whole if section == "all" else dump.bootstrap(whole)
        out("", data, "json" if output == "text" else output)
        return
    path = "/clusters?format=json" if section == "endpoints" else _DUMP
    read = dump.SECTIONS[section](await reaching.admin(client, namespace, pod, path))
    shown = dump.containing(read, match)
    out(_rich(shown), shown.objects, output)


async def logging(client: Client, namespace: str, pod: str, level: str) -> None:
    """The levels at which it logs, after a change where one is asked for."""
    await reaching.proxied(client, namespace, pod)

    async def page(params: Mapping[str, str]) -> dict[str, str]:
        text = await reaching.page(
            client, namespace, pod, reaching.ADMIN_PORT, "/logging", method="POST", params=params
        )
        return levels.loggers(text)

    found = await page({})
    for params in levels.changes(level, found):
        found = await page(params)
    print("\n".join(levels.told(found)))


def _rich(table: dump.Table) -> RichTable:
    shown: Any = columns(*table.columns, elastic=table.columns[-1])
    for row in table.rows:
        shown.add_row(*row)
    return shown  # type: ignore[no-any-return]
