"""What of a pod's `proxy.istio.io/config` is followed, and what is said of the rest."""

from __future__ import annotations

import pytest

from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.proxyconfig import ANNOTATION, proxy_config
from rollout.mesh.inject.webhook import PATH, handlers
from tests.meshworld import Json

CONFIG = InjectionConfig(image="rollout:1", discovery_address="rollout-mesh:15012")


def pod(config: str) -> Json:
    return {
        "metadata": {"name": "catalog-1", "annotations": {ANNOTATION: config}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


@pytest.mark.parametrize(
    ("text", "variables", "warning"),
    [
        ("", {}, ""),
        ("proxyMetadata: {SECRET_TTL: 60s}", {"SECRET_TTL": "60s"}, ""),
        ("concurrency: 4\nproxyMetadata: {SECRET_TTL: 1h30m}", {"SECRET_TTL": "1h30m"}, "concurrency is not"),
        ("proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}", {}, "proxyMetadata.ISTIO_META_DNS_CAPTURE is not"),
        ("proxyMetadata: {SECRET_TTL: a day}", {}, "SECRET_TTL='a day': must be hours"),
        ("proxyMetadata: {SECRET_TTL: 1h}, and so on", {}, "is not YAML"),
        ("- nonsense", {}, "is no mapping"),
        ("proxyMetadata: nonsense", {}, "is no mapping"),
    ],
)  # fmt: skip
async def test_what_is_followed(text: str, variables: dict[str, str], warning: str) -> None:
    found = proxy_config({ANNOTATION: text})
    assert dict(found.variables) == variables
    assert warning in " ".join(found.warnings)
    assert bool(warning) == bool(found.warnings)
    answer = await handlers(CONFIG)[PATH]({"namespace": "shop", "object": pod(text)})
    assert answer.allowed
    assert tuple(answer.warnings) == found.warnings
    (inits,) = (each["value"] for each in answer.patch if each["path"] == "/spec/initContainers")
    env = {each["name"]: each.get("value") for each in inits[1]["env"]}
    assert env.get("SECRET_TTL") == variables.get("SECRET_TTL")
