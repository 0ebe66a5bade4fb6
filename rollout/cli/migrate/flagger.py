"""Flagger itself, as its Deployment shows it: whether it runs, with which flags, and what those are here. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollout.api.canary import SUPPORTED_PROVIDERS, canonical
from rollout.api.errors import FieldError
from rollout.cli.migrate.finding import Finding, Level
from rollout.kube.objects import Object

_IMAGE = re.compile(r"(^|/)flagger(:|@|$)")
CARRIED = (
    *("mesh-provider", "metrics-server", "namespace", "selector-labels", "include-label-prefix"),
    *(
        "enable-config-tracking",
        "cluster-name",
        "no-cross-namespace-refs",
        "enable-leader-election",
    ),
    *("event-webhook", "slack-url", "slack-user", "slack-channel", "slack-proxy-url"),
    *("msteams-url", "msteams-proxy-url"),
)
"""Flagger's flags that `rollout controller` has, too."""
_WITHOUT = {
    "ingress-class": "providers of Ingresses are not supported",
    "ingress-annotations-prefix": "providers of Ingresses are not supported",
    "kubeconfig-service-mesh": "routes are written to the cluster of the canaries",
    "leader-election-namespace": "leases are in the controller's own namespace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagger:
    """One Deployment of Flagger; `flags` without dashes."""

    namespace: str
    name: str
    replicas: int
    flags: Mapping[str, str]

    @property
    def provider(self) -> str:
        """The provider of canaries that name none."""
        return self.flags.get("mesh-provider", "istio")

    @property
    def carried(self) -> tuple[str, ...]:
        """The flags to start `rollout controller` with; addresses with secrets belong into its Secret."""
        return tuple(
            f"--{name}={self.flags[name]}"
            for name in CARRIED
            if name in self.flags and not name.endswith(("webhook", "-url"))
        )

    def findings(self) -> Iterator[Finding]:
        """What is to be done about it."""
        where = f"Deployment {self.namespace}/{self.name}"
        if self.replicas:
            stop = f"kubectl -n {self.namespace} scale deployment {self.name} --replicas=0"
            reason = "Flagger runs, and two controllers must not drive the same canaries"
            remedy = f"before this program starts: {stop}"
            yield Finding(Level.DIFFERS, FieldError(where, reason, remedy))
        if canonical(self.provider) not in SUPPORTED_PROVIDERS:
            reason = f"-mesh-provider={self.provider} is not supported"
            remedy = f"use one of {', '.join(SUPPORTED_PROVIDERS)}"
            yield Finding(Level.REFUSED, FieldError(where, reason, remedy))
        for name, reason in _WITHOUT.items():
            if self.flags.get(name):
                yield Finding(Level.DIFFERS, FieldError(where, f"-{name}: {reason}"))
        if self.carried:
            reason = f"its flags are these here: {' '.join(self.carried)}"
            yield Finding(Level.NOTE, FieldError(where, reason))


def find(deployments: Iterable[Object]) -> tuple[Flagger, ...]:
    """Flagger among the Deployments of a cluster, by its image."""
    return tuple(
        Flagger(
            namespace=each["metadata"]["namespace"],
            name=each["metadata"]["name"],
            replicas=each["spec"].get("replicas", 1),
            flags=_flags(container),
        )
        for each in deployments
        for container in each["spec"]["template"]["spec"]["containers"]
        if _IMAGE.search(container.get("image") or "")
    )


def _flags(container: Object) -> dict[str, str]:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    found = {}
    for word in words:
        name, _, value = word.lstrip("-").partition("=")
        if word.startswith("-"):
            found[name] = value or "true"
    return found
