"""What is set, added and removed on requests and responses."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2

from rollout.mesh.model.routing import HeaderEdits

_HOST = {"host", ":authority"}


def edit_headers(target: Any, edits: HeaderEdits) -> None:
    """Writes the edits onto anything that has Envoy's four header fields (a route, a weighted cluster)."""
    target.request_headers_to_add.extend(_options(edits.request_set, edits.request_add))
    target.request_headers_to_remove.extend(edits.request_remove)
    target.response_headers_to_add.extend(_options(edits.response_set, edits.response_add))
    target.response_headers_to_remove.extend(edits.response_remove)


def authority(edits: HeaderEdits) -> str:
    """The authority that the edits set: Envoy takes that as a rewrite, not as a header."""
    return next((value for name, value in edits.request_set if name.lower() in _HOST), "")


def _options(
    replaced: tuple[tuple[str, str], ...], added: tuple[tuple[str, str], ...]
) -> list[Any]:
    option = base_pb2.HeaderValueOption
    return [
        option(header=base_pb2.HeaderValue(key=name, value=value), append_action=action)
        for pairs, action in (
            (replaced, option.OVERWRITE_IF_EXISTS_OR_ADD),
            (added, option.APPEND_IF_EXISTS_OR_ADD),
        )
        for name, value in pairs
        if name.lower() not in _HOST
    ]
