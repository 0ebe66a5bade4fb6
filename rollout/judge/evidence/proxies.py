"""Reads the counters of pods' proxies: all pods of both arms at once, each bounded in time and size.

Both Istio's proxies and this project's serve them without a password at the same port. Knows HTTP, not what is counted.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable

from rollout.http.client import HttpClient, NoReplyError, Request
from rollout.judge.evidence.proxypages import FAMILIES, Page, Pod, read

PORT = 15090
PATH = "/stats/prometheus"
TIMEOUT_SECONDS = 0.9
"""A look is taken each second, and must be over by the next."""
MOST_PODS = 50
"""Of each arm; more would tell the same."""


class ProxyReader:
    """Asks proxies; `http` bounds how many at once. `port` is the same for all."""

    def __init__(self, http: HttpClient, port: int = PORT) -> None:
        self._http, self._port = http, port

    async def pages(self, pods: Iterable[Pod]) -> dict[str, Page]:
        """The page of each pod that answered, by its uid; of each arm only the first pods by uid."""
        chosen = [pod for arm in _arms(pods) for pod in arm[:MOST_PODS]]
        read_ = await asyncio.gather(*map(self._page, chosen))
        return {pod.uid: page for pod, page in zip(chosen, read_, strict=True) if page is not None}

    async def _page(self, pod: Pod) -> Page | None:
        try:
            address = ipaddress.ip_address(pod.address)
            host = f"[{address}]" if address.version == 6 else str(address)
            reply = await self._http.send(
                Request(
                    url=f"http://{host}:{self._port}{PATH}",
                    params=(("usedonly", ""), ("filter", FAMILIES)),
                    timeout=TIMEOUT_SECONDS,
                )
            )
        except (NoReplyError, ValueError):
            return None
        return read(reply.text) if reply.status == 200 else None


def _arms(pods: Iterable[Pod]) -> tuple[list[Pod], list[Pod]]:
    ordered = sorted(pods)
    return [pod for pod in ordered if pod.canary], [pod for pod in ordered if not pod.canary]
