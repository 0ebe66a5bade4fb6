"""Session affinity: who is handed which cookie, who stays where, and how it ends."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from rollout.api.canary import SessionAffinity
from rollout.api.kinds import CANARY, VIRTUAL_SERVICE
from rollout.delivery.affinity import affinity
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized

BOTH: Object = {"cookieName": "canary-cookie", "primaryCookieName": "primary-cookie"}


def rules(world: World) -> list[Object]:
    found: list[Object] = world.need(VIRTUAL_SERVICE, "catalog")["spec"]["http"]
    return found


def weights(rule: Object) -> list[int]:
    return [share["weight"] for share in rule["route"]]


def set_cookie(share: Object) -> str:
    return str(
        (share.get("headers") or {}).get("response", {}).get("add", {}).get("Set-Cookie", "")
    )


def pattern(rule: Object) -> str:
    return str(rule["match"][0]["headers"]["cookie"]["regex"])


async def begun(**spec: Any) -> World:
    world = await initialized(deployment(), canary(**spec))
    world.new_image("catalog:2")
    await world.settle()
    return world


async def test_callers_of_the_canary_stay_with_it_until_the_run_ends() -> None:
    world = await begun(analysis={"sessionAffinity": {"cookieName": "canary-cookie"}})
    assert [weights(rule) for rule in rules(world)] == [[100, 0]], "nobody is marked yet"
    await world.tick()
    cookie = world.status["sessionAffinityCookie"]
    assert re.fullmatch("canary-cookie=[0-9a-f]{16}", cookie)
    sticky, weighted = rules(world)
    assert sticky["name"] == "sticky-route"
    assert weights(sticky) == [0, 100]
    assert re.search(pattern(sticky), f"a=b; {cookie}; c=d")
    assert weights(weighted) == [90, 10]
    assert "match" not in weighted
    assert [set_cookie(share) for share in weighted["route"]] == ["", f"{cookie}; Max-Age=86400"]
    await world.tick(3)
    assert world.status["sessionAffinityCookie"] == cookie, "the same for the whole run"
    assert weights(rules(world)[1]) == [60, 40]
    await world.tick(4)
    assert world.phase == "Succeeded"
    assert "sessionAffinityCookie" not in world.status
    assert world.status["previousSessionAffinityCookie"] == cookie
    clearing, everybody = rules(world)
    assert re.search(pattern(clearing), cookie)
    assert weights(clearing) == weights(everybody) == [100, 0]
    assert set_cookie(clearing["route"][0]) == f"{cookie}; Max-Age=-1"
    assert world.served == (100, 0)


async def test_a_rollback_takes_the_cookie_back_and_the_next_run_has_another() -> None:
    world = await begun(analysis={"sessionAffinity": BOTH, "threshold": 1})
    await world.tick()
    first = world.status["sessionAffinityCookie"]
    world.success_rate = Value(0)
    await world.tick(2)
    assert world.phase == "Failed"
    assert set_cookie(rules(world)[0]["route"][0]) == f"{first}; Max-Age=-1"
    assert "primarySessionAffinityCookie" not in world.status
    world.success_rate = Value(100)
    world.new_image("catalog:3")
    await world.settle()
    assert set_cookie(rules(world)[0]["route"][0]) == f"{first}; Max-Age=-1", "until the first step"
    await world.tick()
    second = world.status["sessionAffinityCookie"]
    assert second not in ("", first)
    assert world.status["previousSessionAffinityCookie"] == first


async def test_callers_of_the_primary_stay_for_a_step() -> None:
    world = await begun(analysis={"sessionAffinity": BOTH})
    seen = set()
    for share in (10, 20, 30):
        await world.tick()
        to_canary, to_primary, weighted = rules(world)
        assert (weights(to_canary), weights(to_primary)) == ([0, 100], [100, 0])
        assert weights(weighted) == [100 - share, share]
        mine = world.status["primarySessionAffinityCookie"]
        assert set_cookie(weighted["route"][0]) == f"{mine}; Max-Age=45", "one interval"
        assert re.search(pattern(to_primary), mine)
        seen.add(mine)
    assert len(seen) == 3
    assert len({world.status["sessionAffinityCookie"]}) == 1


async def test_affinity_is_about_the_requests_that_the_service_takes() -> None:
    service: Object = {
        "name": "catalog",
        "port": 80,
        "match": [
            {"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "y"}}},
            {"uri": {"prefix": "/b"}},
        ],
    }
    match = [{"headers": {"user-agent": {"suffix": "Fox."}}}]
    world = await begun(
        service=service,
        analysis={"sessionAffinity": {"cookieName": "c"}, "match": match},
    )
    await world.tick()
    sticky, weighted, others = rules(world)
    agent = {"user-agent": {"regex": r".*Fox\.$"}}
    assert weighted["match"] == [
        {"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "y"}, **agent}},
        {"uri": {"prefix": "/b"}, "headers": agent},
    ]
    assert [set(each["headers"]) for each in sticky["match"]] == [
        {"x", "user-agent", "cookie"},
        {"user-agent", "cookie"},
    ]
    assert others["match"] == service["match"]
    assert [share["destination"]["host"] for share in others["route"]] == ["catalog-primary"]


async def test_without_affinity_the_status_forgets_its_cookies() -> None:
    world = await begun(analysis={"sessionAffinity": BOTH})
    await world.tick()
    world.change(CANARY, KEY.name, spec={"analysis": {"sessionAffinity": None}})
    await world.settle()
    assert not {name for name in world.status if "Cookie" in name}
    assert len(rules(world)) == 1


@pytest.mark.parametrize(
    ("change", "attributes"),
    [
        ({}, "Max-Age=86400"),
        ({"maxAge": 60, "domain": "shop.example"}, "Max-Age=60; Domain=shop.example"),
        ({"path": "/shop", "httpOnly": True}, "Max-Age=86400; Path=/shop; HttpOnly"),
        (
            {"sameSite": "None", "secure": True, "partitioned": True},
            "Max-Age=86400; SameSite=None; Partitioned; Secure",
        ),
    ],
)
def test_attributes(change: Object, attributes: str) -> None:
    spec = SessionAffinity.model_validate({"cookieName": "c", **change})

    def at(share: int) -> Any:
        return affinity(
            spec, share=share, current="c=1", previous="", run="r", step=timedelta(seconds=9)
        )

    assert at(10).canary.header == f"c=1; {attributes}"
    rest = attributes.partition(";")[2]
    back = f"c=1; Max-Age=-1;{rest}" if rest else "c=1; Max-Age=-1"
    assert at(0).previous.header == back, "a browser drops it by the same domain and path"


@pytest.mark.parametrize(
    ("header", "carries"),
    [
        ("c.x=1", True),
        ("a=2; c.x=1", True),
        ("a=2;c.x=1; b=3", True),
        ("c.x=12", False),
        ("acx=1", False),
        ("xc.x=1", False),
        ("a=c.x=1", False),
    ],
)
def test_who_carries_a_cookie(header: str, carries: bool) -> None:
    spec = SessionAffinity.model_validate({"cookieName": "c.x"})
    found = affinity(
        spec, share=1, current="c.x=1", previous="", run="", step=timedelta(seconds=9)
    ).canary
    assert found is not None
    assert bool(re.fullmatch(found.pattern, header)) is carries
