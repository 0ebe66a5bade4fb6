"""AlertProvider: a chat that news goes to (`flagger.app/v1beta1`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from rollout.api import kinds
from rollout.api.metrictemplate import SecretRef
from rollout.api.model import Model, Problem, Resource, Str


class AlertProviderSpec(Model):
    """Which chat, and where."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.address) != has(self.secretRef)",
                    "message": "set exactly one of address and secretRef",
                }
            ]
        }
    )

    type: Literal["slack", "msteams", "discord", "rocket", "gchat", "webhook"]
    """Which chat, or any service that takes signed JSON."""
    channel: Str | None = None
    """The channel."""
    username: Str | None = None
    """Who speaks."""
    address: Str | None = None
    """The hook's URL."""
    proxy: Str | None = None
    """A proxy on the way."""
    secret_ref: SecretRef | None = None
    """Secret with `address`, and perhaps `token` (Slack) or `signingKey` (webhook)."""

    def problems(self) -> Iterator[Problem]:
        """No address, or two."""
        if (self.address is None) == (self.secret_ref is None):
            yield Problem("", "needs exactly one of address and secretRef", "set one of them")


class AlertProvider(Resource):
    """A chat that news goes to."""

    KIND = kinds.ALERT_PROVIDER

    spec: AlertProviderSpec
    """What the user wants."""
    status: Mapping[str, Any] = Field(default_factory=dict)
    """Not used."""
