"""`http` probes: the status that an address answers. Nothing is followed, and of the body nothing counts."""

from __future__ import annotations

from urllib.parse import urlsplit

from rollout.api.chaos import ProbeSpec
from rollout.chaos.probes.reading import Gone, Reading
from rollout.http.client import HttpClient, NoReplyError, Request
from rollout.judge.checks import Value


async def read_page(http: HttpClient, spec: ProbeSpec) -> Reading:
    """The status; a server that does not answer is no steady state."""
    request = Request(
        url=str(spec.url),
        method=spec.method,
        headers=tuple(spec.headers.items()),
        timeout=spec.run_properties.probe_timeout.total_seconds(),
    )
    try:
        reply = await http.send(request)
    except NoReplyError as error:
        return Gone(f"{_shown(str(spec.url))} does not answer: {error}")
    return Value(float(reply.status))


def _shown(url: str) -> str:
    """The address without what may be nobody's business."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
