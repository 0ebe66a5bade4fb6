"""From experiments and leases, as they come, to what is sent to a proxy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from rollout.api.chaos import ACTIVE_ANNOTATION
from rollout.api.kinds import CHAOS_EXPERIMENT, LEASE, Kind
from rollout.kube.objects import Key
from rollout.kube.store import Change
from rollout.mesh import faultkeeper
from rollout.mesh.faultkeeper import FaultKeeper
from rollout.mesh.hub import Hub
from rollout.mesh.ingest.feed import Feed
from rollout.mesh.ingest.leases import SILENCE
from rollout.mesh.metrics import Metrics
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host
from rollout.mesh.translate import names
from rollout.mesh.translate.leasedfaults import OUTBOUND
from rollout.mesh.xds.wire import Encoder, Request
from tests.meshworld import Json

NODE = {"id": "router~10.0.0.1~gateway-1.edge~edge.svc.cluster.local", "metadata": {}}


class Scene:
    """A gateway that has asked for its slots."""

    def __init__(self) -> None:
        self.begin = datetime.now(UTC)
        registry = Registry()
        feed = Feed(registry, slices_of=lambda _ns, _name: (), pod_of=lambda _ns, _name: None)
        hub = Hub(registry, feed, lambda _ns, _name: None, Metrics())
        self.keeper = FaultKeeper(hub)
        self.connection = hub.connect(NODE, Encoder())
        self.stream = self.connection.stream
        self.stream.receive(Request(type_url=names.EXTENSION, subscribe=OUTBOUND))
        self.exchange()

    def exchange(self) -> tuple[int, int]:
        """How many faults are sent, and how many taken away."""
        sent = removed = 0
        for response in self.stream.poll():
            sent, removed = sent + len(response.resources), removed + len(response.removed)
            self.stream.receive(Request(type_url=names.EXTENSION, nonce=response.nonce))
        return sent, removed

    def experiment(
        self, name: str, phase: str = "Running", seconds: float = 60, fault: Json | None = None
    ) -> None:
        obj = {
            "apiVersion": CHAOS_EXPERIMENT.api_version,
            "kind": "ChaosExperiment",
            "metadata": {"namespace": "shop", "name": name},
            "spec": {
                "duration": "1m",
                "target": {"service": name},
                "fault": fault or {"abort": {"httpStatus": 503}, "layer": "client"},
            },
            "status": {
                "phase": phase,
                "runID": "1",
                "startedAt": self.begin.isoformat(),
                "expiresAt": (self.begin + timedelta(seconds=seconds)).isoformat(),
            },
        }
        self.keeper.on_experiment(_change(CHAOS_EXPERIMENT, name, obj))

    def lease(self, name: str, second: float, *experiments: str) -> None:
        runs = json.dumps([f"shop/{each}/1" for each in experiments])
        obj = {
            "metadata": {"annotations": {ACTIVE_ANNOTATION: runs}},
            "spec": {"renewTime": (self.begin + timedelta(seconds=second)).isoformat()},
        }
        self.keeper.on_lease(_change(LEASE, name, obj))


def _change(kind: Kind, name: str, new: Json | None) -> Change:
    return Change(kind, Key("shop", name), None, new)


async def test_a_renewal_sends_what_it_vouches_for() -> None:
    scene = Scene()
    scene.experiment("one")
    scene.lease("a", 0, "one")
    assert scene.exchange() == (0, 0), "nothing is known of a lease that is seen for the first time"
    scene.lease("a", 1, "one")
    assert scene.exchange() == (1, 0)
    assert scene.exchange() == (0, 0)
    scene.lease("a", 2, "one")
    assert scene.exchange() == (1, 0)


async def test_an_experiment_that_comes_just_after_its_lease_need_not_wait_for_the_next() -> None:
    scene = Scene()
    scene.lease("a", 0, "one")
    scene.lease("a", 1, "one")
    scene.experiment("one")
    assert scene.exchange() == (1, 0)


async def test_what_is_over_is_taken_away_at_once() -> None:
    scene = Scene()
    for name in ("one", "two"):
        scene.experiment(name)
    scene.lease("a", 0, "one", "two")
    scene.lease("a", 1, "one", "two")
    assert scene.exchange() == (2, 0)
    scene.experiment("one", phase="Recovering")
    assert scene.exchange() == (0, 1)
    scene.lease("a", 2, "two")
    assert scene.exchange() == (1, 0)
    scene.lease("a", 2)
    assert scene.exchange() == (0, 1)


async def test_one_controller_does_not_speak_for_another() -> None:
    scene = Scene()
    for name in ("one", "two"):
        scene.experiment(name)
        for second in (0, 1):
            scene.lease(name, second, name)
    assert scene.exchange() == (2, 0)
    scene.lease("one", 2, "one")
    assert scene.exchange() == (1, 0)


async def test_its_end_is_its_end() -> None:
    scene = Scene()
    scene.experiment("one", seconds=-1)
    for second in range(3):
        scene.lease("a", second, "one")
    assert scene.exchange() == (0, 0)


async def test_what_cannot_be_read_is_left_out(capfd: Any) -> None:
    scene = Scene()
    scene.keeper.on_experiment(_change(CHAOS_EXPERIMENT, "bad", {"metadata": {"name": "bad"}}))
    scene.lease("a", 0, "bad")
    scene.lease("a", 1, "bad")
    assert scene.exchange() == (0, 0)


async def test_certificates_are_withheld_from_whom_it_is_about_as_long_as_it_is_vouched_for() -> (
    None
):
    scene = Scene()
    mine = frozenset({service_host("shop", "one"), service_host("shop", "other")})
    others = frozenset({service_host("shop", "two")})
    scene.experiment("one", fault={"certificateOutage": True})
    scene.lease("a", 0, "one")
    assert scene.keeper.withheld(mine) == ""
    scene.lease("a", 1, "one")
    assert scene.keeper.withheld(mine) == "shop/one"
    assert scene.keeper.withheld(others) == ""
    assert scene.exchange() == (0, 0), "proxies have no part in it"
    scene.lease("a", 2)
    assert scene.keeper.withheld(mine) == ""


async def test_an_outage_of_certificates_does_not_outlive_a_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    mine = frozenset({service_host("shop", "one")})
    scene.experiment("one", fault={"certificateOutage": True})
    scene.lease("a", 0, "one")
    scene.lease("a", 1, "one")
    later = monotonic() + SILENCE
    monkeypatch.setattr(faultkeeper, "monotonic", lambda: later)
    assert scene.keeper.withheld(mine) == ""
