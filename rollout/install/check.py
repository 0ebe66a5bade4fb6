"""Looks at a cluster before and after an installation: each finding says what is, and what to do where it is not well.

Reads only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from rollout.api.kinds import CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, SECRET
from rollout.install import waiting
from rollout.install.inventory import COMPONENT, KINDS, VERSION
from rollout.install.uninstall import WEBHOOK_SECRETS
from rollout.kube.client import Client
from rollout.kube.errors import Forbidden, KubeError, NotFound
from rollout.kube.objects import Object, Objects, labels_of

OLDEST_MINOR = 29  # native sidecars are on by default since
NEAR_EXPIRY_DAYS = 7

# What an installation needs: group, resource, verb.
PERMISSIONS = (
    ("apiextensions.k8s.io", "customresourcedefinitions", "create"),
    ("rbac.authorization.k8s.io", "clusterroles", "create"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create"),
    ("apps", "deployments", "create"),
    ("", "namespaces", "create"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at; `remedy` is empty where all is well."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""


async def check(client: Client, namespace: str) -> AsyncIterator[Finding]:
    """All findings: the server and the caller's rights, then the installation where there is one."""
    yield await _server(client)
    yield await _permissions(client)
    deployments = await client.list(DEPLOYMENT, namespace, "app.kubernetes.io/part-of=rollout")
    if not deployments:
        yield Finding(
            subject="installation",
            ok=False,
            detail=f"nothing in namespace {namespace}",
            remedy="rollout install, or --namespace where it is elsewhere",
        )
        return
    yield await _crds(client)
    for deployment in deployments:
        yield await _deployment(client, deployment)
    for kind in KINDS:
        if kind.kind.endswith("WebhookConfiguration"):
            for webhook in await client.list(
                kind, label_selector="app.kubernetes.io/part-of=rollout"
            ):
                yield _webhook(webhook)
    for name in WEBHOOK_SECRETS:
        if finding := await _certificate(client, namespace, name):
            yield finding
    if address := metrics_server(deployments):
        yield await _prometheus(client, address, namespace)


async def _server(client: Client) -> Finding:
    version = await client.request("GET", "/version")
    minor = int(re.sub(r"\D", "", version.get("minor", "0")) or 0)
    return Finding(
        subject="API server",
        ok=minor >= OLDEST_MINOR,
        detail=version.get("gitVersion", "unknown"),
        remedy="" if minor >= OLDEST_MINOR else f"Kubernetes 1.{OLDEST_MINOR} or newer is needed",
    )


async def _permissions(client: Client) -> Finding:
    lacking = []
    for group, resource, verb in PERMISSIONS:
        asked = {"group": group, "resource": resource, "verb": verb}
        review = await client.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            },
        )
        if not review["status"].get("allowed"):
            lacking.append(f"{verb} {resource}")
    return Finding(
        subject="permissions",
        ok=not lacking,
        detail=f"may not {', '.join(lacking)}" if lacking else "suffice to install",
        remedy="use credentials of a cluster administrator" if lacking else "",
    )


async def _crds(client: Client) -> Finding:
    crds = await client.list(CUSTOM_RESOURCE_DEFINITION)
    names = {crd["metadata"]["name"] for crd in crds}
    wanted = {
        "canaries.flagger.app",
        "metrictemplates.flagger.app",
        "alertproviders.flagger.app",
        "chaosexperiments.chaos.rollout.dev",
        "chaosreports.chaos.rollout.dev",
        "virtualservices.networking.istio.io",
        "destinationrules.networking.istio.io",
    }
    missing = sorted(wanted - names)
    return Finding(
        subject="CustomResourceDefinitions",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else "all there",
        remedy="rollout install" if missing else "",
    )


async def _deployment(client: Client, deployment: Object) -> Finding:
    name, version = deployment["metadata"]["name"], labels_of(deployment).get(VERSION, "?")
    missing = "" if waiting.complete(deployment) else await waiting.reason(client, deployment)
    namespace = deployment["metadata"]["namespace"]
    return Finding(
        subject=name,
        ok=not missing,
        detail=f"{missing or 'ready'} (version {version})",
        remedy=f"kubectl describe deployment {name} -n {namespace}" if missing else "",
    )


def _webhook(webhook: Object) -> Finding:
    name = webhook["metadata"]["name"]
    signed = all(hook["clientConfig"].get("caBundle") for hook in webhook.get("webhooks") or ())
    return Finding(
        subject=f"webhook {name}",
        ok=signed,
        detail="has its certificate authority" if signed else "has no certificate authority",
        remedy="" if signed else "the log of the pods that serve it says why",
    )


async def _certificate(client: Client, namespace: str, name: str) -> Finding | None:
    try:
        secret = await client.get(SECRET, namespace, name)
    except (NotFound, Forbidden):
        return None
    data = base64.b64decode((secret.get("data") or {}).get("tls.crt", ""))
    try:
        ends = x509.load_pem_x509_certificate(data).not_valid_after_utc
    except ValueError as error:
        return Finding(
            subject=f"certificate {name}",
            ok=False,
            detail=f"unreadable: {error}",
            remedy=f"kubectl delete secret {name} -n {namespace}; it is made anew",
        )
    days = (ends - datetime.now(UTC)).days
    near = days < NEAR_EXPIRY_DAYS
    return Finding(
        subject=f"certificate {name}",
        ok=not near,
        detail=f"valid until {ends:%Y-%m-%d}",
        remedy="it should have been renewed: see the log of its process" if near else "",
    )


def metrics_server(deployments: Objects) -> str:
    """Prometheus' address as the controller is told it; empty where there is no controller."""
    for deployment in deployments:
        if labels_of(deployment).get(COMPONENT) == "controller":
            for argument in deployment["spec"]["template"]["spec"]["containers"][0]["args"]:
                name, _, value = argument.partition("=")
                if name == "--metrics-server":
                    return str(value)
    return ""


async def _prometheus(client: Client, address: str, namespace: str) -> Finding:
    """Asked through the API server, since the address is one of the cluster's network."""
    subject = f"Prometheus {address}"
    matched = re.fullmatch(
        r"http://([a-z0-9-]+)(?:\.([a-z0-9-]+))?(?:\.svc[a-z.]*)?:(\d+)/?", address
    )
    if matched is None:
        return Finding(
            subject=subject, ok=True, detail="not checked: not a Service of this cluster"
        )
    service, place, port = matched.groups()
    path = f"/api/v1/namespaces/{place or namespace}/services/http:{service}:{port}/proxy/-/ready"
    try:
        await client.request("GET", path)
    except KubeError as error:
        return Finding(
            subject=subject,
            ok=False,
            detail=str(error),
            remedy="set metricsServer to your Prometheus, or prometheus.install=true to try things out",
        )
    return Finding(subject=subject, ok=True, detail="ready")
