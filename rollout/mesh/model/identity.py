"""Who a workload is: the SPIFFE name of its service account, which its certificate carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rollout.mesh.model.service import DOMAIN

TRUST_DOMAIN = DOMAIN
"""Istio's default: the cluster's domain."""

_ACCOUNT = "system:serviceaccount:"
_URI = re.compile(rf"spiffe://{re.escape(TRUST_DOMAIN)}/ns/([^/]+)/sa/([^/]+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """A service account of a namespace."""

    namespace: str
    account: str

    @property
    def uri(self) -> str:
        """`spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, as Istio writes it."""
        return f"spiffe://{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.account}"


def of_user(username: str) -> Identity | None:
    """The identity behind a Kubernetes user name; None where it is not a service account's."""
    namespace, colon, account = username.removeprefix(_ACCOUNT).partition(":")
    if not username.startswith(_ACCOUNT) or not colon or not namespace or not account:
        return None
    return Identity(namespace, account)


def of_uri(uri: str) -> Identity | None:
    """The identity of this name; None where it is not one of the mesh's."""
    found = _URI.fullmatch(uri)
    return Identity(*found.groups()) if found else None
