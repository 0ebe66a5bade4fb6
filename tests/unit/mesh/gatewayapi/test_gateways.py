"""What is said of Gateways and their listeners, and which of them are served."""

from __future__ import annotations

from typing import Any

import pytest

from tests.certificates import Authority, secret_data
from tests.unit.mesh.gatewayapi.objects import (
    exposing,
    gateway,
    gateway_status,
    grant,
    listener,
    resolved,
    route,
    said,
)

Json = dict[str, Any]
FINE = {
    "Accepted": "Accepted",
    "Programmed": "Programmed",
    "ResolvedRefs": "ResolvedRefs",
    "Conflicted": "!NoConflicts",
}
NOT_SERVED = FINE | {"Programmed": "!Invalid"}
CERTIFICATE, KEY = Authority().issue("a.example")
SIGNED = secret_data(tls_crt=CERTIFICATE, tls_key=KEY)


def https(reference: Json | None = None, **more: Any) -> Json:
    refs = [reference or {"name": "cert"}]
    return listener("https", 443, "HTTPS", tls={"certificateRefs": refs}, **more)


def secret(namespace: str = "shop", **data: str) -> Json:
    metadata = {"namespace": namespace, "name": "cert"}
    return {"kind": "Secret", "metadata": metadata, "data": data or SIGNED}


def kinds(*names: str) -> Json:
    return {"allowedRoutes": {"kinds": [{"kind": name} for name in names]}}


TO_CERT = {"kind": "Secret", "name": "cert"}
CASES: dict[str, tuple[Json, list[Json], dict[str, str], tuple[str, ...]]] = {
    "plain": (listener(), [], FINE, ("HTTPRoute", "GRPCRoute")),
    "one kind": (listener(**kinds("HTTPRoute")), [], FINE, ("HTTPRoute",)),
    "an unknown kind beside one": (
        listener(**kinds("HTTPRoute", "Odd")), [], FINE | {"ResolvedRefs": "!InvalidRouteKinds"},
        ("HTTPRoute",),
    ),
    "only an unknown kind": (
        listener(**kinds("Odd")), [], NOT_SERVED | {"ResolvedRefs": "!InvalidRouteKinds"}, (),
    ),
    "another protocol": (
        listener(protocol="UDP"), [], NOT_SERVED | {"Accepted": "!UnsupportedProtocol"}, (),
    ),
    "https": (https(), [secret()], FINE, ("HTTPRoute", "GRPCRoute")),
    "no secret": (
        https(), [secret("other")], NOT_SERVED | {"ResolvedRefs": "!InvalidCertificateRef"},
        ("HTTPRoute", "GRPCRoute"),
    ),
    "a bad secret": (
        https(), [secret(**{"tls.crt": "SGk=", "tls.key": "SGk="})],
        NOT_SERVED | {"ResolvedRefs": "!InvalidCertificateRef"}, ("HTTPRoute", "GRPCRoute"),
    ),
    "no Secret at all": (
        https({"name": "cert", "kind": "ConfigMap"}), [secret()],
        NOT_SERVED | {"ResolvedRefs": "!InvalidCertificateRef"}, ("HTTPRoute", "GRPCRoute"),
    ),
    "a secret of others": (
        https({"name": "cert", "namespace": "vault"}), [secret("vault")],
        NOT_SERVED | {"ResolvedRefs": "!RefNotPermitted"}, ("HTTPRoute", "GRPCRoute"),
    ),
    "a secret of others, granted": (
        https({"name": "cert", "namespace": "vault"}),
        [secret("vault"), grant("shop", "vault", kind="Gateway", target=TO_CERT)],
        FINE, ("HTTPRoute", "GRPCRoute"),
    ),
    "a secret granted to routes": (
        https({"name": "cert", "namespace": "vault"}),
        [secret("vault"), grant("shop", "vault", target=TO_CERT)],
        NOT_SERVED | {"ResolvedRefs": "!RefNotPermitted"}, ("HTTPRoute", "GRPCRoute"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "others", "expected", "supported"), CASES.values(), ids=CASES)
def test_listener(
    written: Json, others: list[Json], expected: dict[str, str], supported: tuple[str, ...]
) -> None:
    (found,) = gateway_status(resolved(*others, gateway(written))).listeners
    assert (said(found.conditions), found.kinds) == (expected, supported)


def test_listeners_in_conflict_are_not_served() -> None:
    world = resolved(
        gateway(
            listener("a", hostname="a.example"),
            listener("b", hostname="A.example"),
            listener("c", hostname="c.example"),
            listener("d", 443),
            https(),
        )
    )
    status = gateway_status(world)
    conflicts = [said(each.conditions)["Conflicted"] for each in status.listeners]
    assert conflicts == [
        "HostnameConflict", "HostnameConflict", "!NoConflicts", "ProtocolConflict", "ProtocolConflict",
    ]  # fmt: skip
    (served,) = world.registry.gateways.values()
    assert [server.name for server in served.servers] == ["c"]
    assert said(status.conditions)["Accepted"] == "ListenersNotValid"


@pytest.mark.parametrize(
    ("made", "spec", "expected"),
    [
        (exposing(), {}, {"Accepted": "Accepted", "Programmed": "Programmed"}),
        (exposing()[:1], {}, {"Accepted": "Accepted", "Programmed": "!Pending"}),
        ([], {}, {"Accepted": "Accepted", "Programmed": "!AddressNotAssigned"}),
        (
            exposing(),
            {"addresses": [{"value": "1.2.3.4"}]},
            {"Accepted": "!UnsupportedAddress", "Programmed": "!Invalid"},
        ),
        (exposing(), {"addresses": [{}]}, {"Accepted": "Accepted", "Programmed": "Programmed"}),
    ],
    ids=["reached", "no proxy", "no address", "an address asked for", "any address"],
)
def test_gateway(made: list[Json], spec: Json, expected: dict[str, str]) -> None:
    status = gateway_status(resolved(*made, gateway(listener(), **spec)))
    assert (said(status.conditions), status.generation) == (expected, 3)
    assert status.addresses == (("10.0.0.9",) if made else ())


def test_others_gateways_are_left_alone() -> None:
    world = resolved(gateway(listener(), gatewayClassName="other"), route())
    outcome = world.feed.gateway_api.outcome
    assert not outcome.gateway_statuses
    assert not outcome.route_statuses
    assert not outcome.ports
