"""What keeps a pod from serving, in one clause: read from its status alone. Pure; knows no workload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from rollout.kube.objects import Object, is_deleting

_UNREADY = "container "
_LIGHT = (_UNREADY, "Unschedulable")
# What every pod that starts goes through.
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing", ""})
_LONGEST = 200


def failure(pod: Object) -> str:
    """Why the pod does not serve; empty where it does, or where nothing says that it will not."""
    status = pod.get("status") or {}
    if is_deleting(pod) or status.get("phase") == "Succeeded":
        return ""
    if status.get("phase") == "Failed":
        return _joined(str(status.get("reason") or "failed"), status.get("message"))
    return next(chain(_of_containers(status), _of_conditions(status)), "")


def first_failure(pods: Iterable[Object]) -> str:
    """The pod that fails, with its reason: `pod a-b: ...`; one that was tried over one that waits. Empty where none does."""
    found = sorted(
        (why.startswith(_LIGHT), pod["metadata"]["name"], why)
        for pod in pods
        if (why := failure(pod))
    )
    return f"pod {found[0][1]}: {found[0][2]}" if found else ""


def _of_containers(status: Object) -> Iterator[str]:
    unready: list[str] = []
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(kind) or ():
            name, state = each.get("name", ""), each.get("state") or {}
            waiting, ended = state.get("waiting"), state.get("terminated")
            if waiting and (reason := str(waiting.get("reason") or "")) not in _ON_ITS_WAY:
                last = _ended((each.get("lastState") or {}).get("terminated"))
                yield f"{reason} of {name}" + _detail(last or waiting.get("message"))
            elif ended and ended.get("exitCode"):
                yield f"{ended.get('reason') or 'Error'} of {name}" + _detail(_ended(ended))
            elif "running" in state and not each.get("ready") and kind == "containerStatuses":
                last = _ended((each.get("lastState") or {}).get("terminated"))
                restarts = (
                    f", after {each['restartCount']} restarts" if each.get("restartCount") else ""
                )
                unready.append(f"{_UNREADY}{name} runs but is not ready{restarts}" + _detail(last))
    yield from unready


def _of_conditions(status: Object) -> Iterator[str]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield _joined(str(condition.get("reason") or "Unschedulable"), condition.get("message"))


def _ended(terminated: Object | None) -> str:
    if not terminated:
        return ""
    code, reason = terminated.get("exitCode"), str(terminated.get("reason") or "")
    killed = f"{reason}, " if reason not in {"", "Error", "Completed"} else ""
    return f"{killed}exit code {code}"


def _detail(text: object) -> str:
    return f" ({_cut(str(text))})" if text else ""


def _joined(reason: str, message: object) -> str:
    return f"{reason}: {_cut(str(message))}" if message else reason


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
