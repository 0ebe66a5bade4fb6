"""A state as JSON for `.status`, and back, exactly: the judge goes on where it was when its process ends.

The form is versioned and tied to the configuration: a state that does not fit is refused, so that nothing is read into
numbers that mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rollout.judge.sequential import limits, odds
from rollout.judge.sequential.config import Config, Mean, Shares
from rollout.judge.sequential.counts import Arm
from rollout.judge.sequential.state import Edge, MeanState, SharesState, State, Totals
from rollout.judge.sequential.track import Track

VERSION = 2
Json: TypeAlias = dict[str, Any]


class UnfitState(ValueError):  # noqa: N818 - it says what is refused
    """A state that this version or this configuration cannot go on from; begin anew, with the reason in an event."""


def to_dict(state: State) -> Json:
    """The state as JSON values."""
    if isinstance(state, MeanState):
        return {
            "version": VERSION,
            "readings": state.readings,
            "sums": [
                state.excess,
                state.squares,
                state.products,
                state.last,
                state.canary,
                state.primary,
            ],
        }
    made: Json = {
        "version": VERSION,
        "edges": [_edge(edge) for edge in state.edges],
        "step": [_arm(state.step.canary), _arm(state.step.primary)],
        "requests": [state.canary, state.primary],
        "past": [state.ticks, state.blocks, state.history, state.open],
    }
    if state.limit is not None:
        made["limit"] = _track(state.limit)
    if state.watched is not None:
        made["watched"] = list(state.watched)
    return made


def _edge(edge: Edge) -> Json:
    return {
        "bad": [edge.canary, edge.primary],
        "past": [edge.history, edge.squares, edge.struck, edge.open],
        "track": _track(edge.track),
    }


def _track(track: Track) -> list[Any]:
    rest = [track.evidence, track.steady, track.block, track.begun, track.settled]
    return [list(track.logs), *rest]


def _arm(arm: Arm) -> list[int]:
    return [arm.total, *arm.bad]


def from_dict(written: Mapping[str, Any], config: Config) -> State:
    """The state that was written. Raises UnfitState where it is of another version, metric or shape."""
    version = written.get("version")
    if version != VERSION:
        raise UnfitState(f"the judge's state has version {version!r}; this is version {VERSION}")
    try:
        state = _mean(written) if isinstance(config, Mean) else _shares(written)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnfitState(
            f"the judge's state of {config.metric} cannot be read: {error!r}"
        ) from error
    if isinstance(config, Shares) and isinstance(state, SharesState):
        _check_shape(state, config)
    return state


def _mean(written: Mapping[str, Any]) -> MeanState:
    excess, squares, products, last, canary, primary = map(float, written["sums"])
    return MeanState(int(written["readings"]), excess, squares, products, last, canary, primary)


def _shares(written: Mapping[str, Any]) -> SharesState:
    canary, primary = map(int, written["requests"])
    ticks, blocks, history, open_total = map(int, written["past"])
    step = [_read_arm(arm) for arm in written["step"]]
    return SharesState(
        edges=tuple(_read_edge(edge) for edge in written["edges"]),
        step=Totals(step[0], step[1]),
        limit=_read_track(written["limit"]) if "limit" in written else None,
        watched=tuple(map(int, written["watched"])) if "watched" in written else None,
        canary=canary,
        primary=primary,
        ticks=ticks,
        blocks=blocks,
        history=history,
        open=open_total,
    )


def _read_edge(edge: Mapping[str, Any]) -> Edge:
    canary, primary = map(int, edge["bad"])
    history, squares, struck, pending = edge["past"]
    track = _read_track(edge["track"])
    return Edge(track, canary, primary, int(history), float(squares), int(struck), int(pending))


def _read_track(track: Sequence[Any]) -> Track:
    logs, evidence, steady, block, begun, settled = track
    return Track(
        tuple(map(float, logs)),
        float(evidence),
        float(steady),
        int(block),
        float(begun),
        float(settled),
    )


def _read_arm(arm: Sequence[int]) -> Arm:
    return Arm(int(arm[0]), tuple(map(int, arm[1:])))


def _check_shape(state: SharesState, config: Shares) -> None:
    """That the numbers belong to the metric as it is configured now."""
    width, alternatives = config.width, len(odds.grid(config).logs)
    fits = (
        len(state.edges) == width
        and all(len(edge.track.logs) == alternatives for edge in state.edges)
        and len(state.step.canary.bad) == len(state.step.primary.bad) == width
        and (state.limit is None) == (config.limit is None)
        and (state.limit is None or len(state.limit.logs) == len(limits.BREACH))
        and (state.watched is None or all(0 <= edge < width for edge in state.watched))
    )
    if not fits:
        raise UnfitState(
            f"the judge's state of {config.metric} was kept for other edges or another limit"
        )
