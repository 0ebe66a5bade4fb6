"""What hooks are sent: Flagger's JSON, field by field, with a checksum of our own making. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from rollout.api.canary import Canary, CanaryWebhook
from rollout.delivery.hooks.call import HookCall, HookType

DEFAULT_TIMEOUT_SECONDS = 10.0
_GLOBAL_EVENT_HOOK = "events"


def checksum(revision: str, configs: Mapping[str, str]) -> str:
    """Tells one revision and its configs from another; the same for all calls about one rollout."""
    known = json.dumps([revision, dict(configs)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def calls_of(canary: Canary, type_: HookType, phase: str, checksum_: str) -> tuple[HookCall, ...]:
    """The calls of all hooks of one type, in the order in which the canary lists them."""
    return tuple(
        _call(canary, hook, type_, index, _body(canary, phase, checksum_, hook.metadata))
        for index, hook in _hooks(canary, type_)
    )


def event_calls(
    canary: Canary,
    phase: str,
    checksum_: str,
    *,
    message: str,
    warning: bool,
    at: datetime,
    everywhere: str = "",
) -> tuple[HookCall, ...]:
    """The calls that tell an event: to the canary's own hooks, or else to `everywhere`, the controller's."""
    event = {
        "eventMessage": message,
        "eventType": "Warning" if warning else "Normal",
        "timestamp": str(int(at.timestamp() * 1000)),
    }
    own = tuple(
        # What is true of the event wins over what the user wrote.
        _call(
            canary,
            hook,
            HookType.EVENT,
            index,
            _body(canary, phase, checksum_, {**hook.metadata, **event}),
        )
        for index, hook in _hooks(canary, HookType.EVENT)
    )
    if own or not everywhere:
        return own
    return (
        HookCall(
            name=_GLOBAL_EVENT_HOOK,
            type=HookType.EVENT,
            namespace=canary.namespace,
            path="--event-webhook",
            url=everywhere,
            body=_body(canary, phase, checksum_, event),
            timeout=DEFAULT_TIMEOUT_SECONDS,
        ),
    )


def _hooks(canary: Canary, type_: HookType) -> Iterator[tuple[int, CanaryWebhook]]:
    for index, hook in enumerate(canary.spec.analysis.webhooks):
        if (hook.type or HookType.ROLLOUT) == type_:
            yield index, hook


def _call(canary: Canary, hook: CanaryWebhook, type_: HookType, index: int, body: str) -> HookCall:
    timeout = hook.timeout.total_seconds() if hook.timeout else 0.0
    return HookCall(
        name=hook.name,
        type=type_,
        namespace=canary.namespace,
        path=f"spec.analysis.webhooks[{index}]",
        url=hook.url,
        body=body,
        timeout=timeout or DEFAULT_TIMEOUT_SECONDS,
        retries=hook.retries or 0,
        verify=not hook.disable_tls,
        secret=hook.headers_from.secret_ref.name if hook.headers_from else "",
    )


def _body(canary: Canary, phase: str, checksum_: str, metadata: Mapping[str, str]) -> str:
    payload: dict[str, object] = {
        "name": canary.name,
        "namespace": canary.namespace,
        "phase": phase,
        "checksum": checksum_,
    }
    if metadata:
        payload["metadata"] = dict(metadata)
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
