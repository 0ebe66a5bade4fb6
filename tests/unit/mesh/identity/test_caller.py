from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.identity.caller import Caller
from rollout.mesh.model.identity import Identity, of_user

CALLER = Caller(Identity("shop", "catalog"), "catalog-1")


def node(**changes: Any) -> dict[str, Any]:
    claims = {"id": "sidecar~10.0.0.1~catalog-1.shop~shop.svc.cluster.local"}
    metadata = {"NAMESPACE": "shop", "SERVICE_ACCOUNT": "catalog", "NAME": "catalog-1"}
    return {"id": changes.pop("id", claims["id"]), "metadata": metadata | changes}


def test_a_proxy_that_says_what_its_token_proves() -> None:
    CALLER.check(node())
    Caller(Identity("shop", "catalog")).check(node(NAME="catalog-1"))


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        ({"id": "sidecar~10.0.0.1~catalog-1.other~other.svc.cluster.local"}, "namespace of its id"),
        ({"id": "sidecar~10.0.0.1~other-1.shop~shop.svc.cluster.local"}, "pod of its id"),
        ({"id": "nonsense"}, "namespace of its id"),
        ({"NAMESPACE": "other"}, "NAMESPACE"),
        ({"SERVICE_ACCOUNT": "other"}, "SERVICE_ACCOUNT"),
        ({"SERVICE_ACCOUNT": None}, "SERVICE_ACCOUNT"),
        ({"NAME": "other-1"}, "NAME"),
    ],
)
def test_a_proxy_that_claims_to_be_another(claim: dict[str, Any], field: str) -> None:
    with pytest.raises(PermissionError, match=field):
        CALLER.check(node(**claim))


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("system:serviceaccount:shop:catalog", Identity("shop", "catalog")),
        ("system:serviceaccount:shop", None),
        ("system:serviceaccount::catalog", None),
        ("system:node:one", None),
        ("shop:catalog", None),
    ],
)
def test_only_service_accounts_have_identities(user: str, identity: Identity | None) -> None:
    assert of_user(user) == identity
