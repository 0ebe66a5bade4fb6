"""What Envoy would refuse although Istio's validation lets it pass.

One refused value would keep a whole route configuration, everybody's, from being updated: so it is found here, where
its owner can be told.
"""

from __future__ import annotations

import re

_COMMAND = re.compile(
    r"%(?:DOWNSTREAM_(?:REMOTE|LOCAL)_ADDRESS(?:_WITHOUT_PORT)?|DOWNSTREAM_LOCAL_PORT|HOSTNAME|PROTOCOL"
    r"|REQUESTED_SERVER_NAME|RESPONSE_CODE|RESPONSE_FLAGS|ROUTE_NAME|UPSTREAM_CLUSTER|UPSTREAM_REMOTE_ADDRESS"
    r"|VIRTUAL_CLUSTER_NAME|(?:REQ|RESP)\([A-Za-z0-9-]+\)(?::\d{1,4})?)%"
)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def header_value(value: str) -> str | None:
    """The value with every `%` that begins none of Envoy's commands doubled; None where HTTP has no room for it."""
    if _FORBIDDEN.search(value) or not value.isascii():
        return None
    out, position = [], 0
    for command in _COMMAND.finditer(value):
        out += [value[position : command.start()].replace("%", "%%"), command.group()]
        position = command.end()
    return "".join([*out, value[position:].replace("%", "%%")])
