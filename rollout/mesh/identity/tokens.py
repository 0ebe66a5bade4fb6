"""Who sends a service-account token, as the API server says (TokenReview).

The token must be meant for the mesh: one for the API server itself, which any application holds, is refused.
Knows no gRPC; a token is never logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.api.kinds import TOKEN_REVIEW
from rollout.kube.client import Client
from rollout.kube.errors import KubeError
from rollout.mesh.identity.caller import Caller, UnansweredError, UnauthenticatedError
from rollout.mesh.model.identity import of_user

AUDIENCE = "istio-ca"
_POD = "authentication.kubernetes.io/pod-name"
_MOST_TOKEN = 16 << 10
_SCHEME = "bearer "


class Reviewer:
    """Asks the API server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def authenticate(self, metadata: Mapping[str, str]) -> Caller:
        """By the `authorization` of a call; `UnauthenticatedError` or `UnansweredError`."""
        header = metadata.get("authorization", "")
        token = header[len(_SCHEME) :].strip()
        if not header.lower().startswith(_SCHEME) or not token:
            raise UnauthenticatedError(
                "no bearer token: send the service account's for audience istio-ca"
            )
        if len(token) > _MOST_TOKEN:
            raise UnauthenticatedError(f"the token is longer than {_MOST_TOKEN} bytes")
        review = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "metadata": {},
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        try:
            answer = await self._client.create(TOKEN_REVIEW, review)
        except KubeError as error:
            raise UnansweredError(f"the API server does not review tokens: {error}") from None
        return _caller(answer.get("status") or {})


def _caller(status: Mapping[str, Any]) -> Caller:
    if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or ()):
        reason = str(status.get("error") or "").split("\n")[0][:200]
        raise UnauthenticatedError(
            f"the token is not valid for audience {AUDIENCE}: {reason or 'refused'}"
        )
    user: Mapping[str, Any] = status.get("user") or {}
    identity = of_user(str(user.get("username", "")))
    if identity is None:
        raise UnauthenticatedError("the token is not a service account's")
    pods = (user.get("extra") or {}).get(_POD) or ()
    return Caller(identity, str(pods[0]) if pods else "")
