"""Who we are to the API server, and that it follows rotation."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.aio.config import incluster_config

from rollout.kube.certificates import issue_ca
from rollout.kube.client import Client
from rollout.kube.connect import NotConfigured, api_client


async def test_a_rotated_token_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [datetime.now()]  # noqa: DTZ005 - as the official client takes it
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: now[0]), timedelta=timedelta)
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("one")
    authority.write_bytes(issue_ca("test", datetime.now().astimezone()).certificate)
    monkeypatch.setattr(incluster_config, "datetime", clock)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    api = await api_client(None, None, 4)

    async def sent() -> str:
        return str(await api.configuration.get_api_key_with_prefix("BearerToken"))

    assert api.configuration.host == "https://10.0.0.1:443"
    assert await sent() == "bearer one"
    token.write_text("two")
    now[0] += timedelta(minutes=2)
    assert await sent() == "bearer two"


@pytest.mark.parametrize(
    ("spared", "proxy"), [("", "http://proxy:3128"), ("10.0.0.0/8,10.0.0.1", None)]
)
async def test_a_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: str, proxy: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", spared)
    path = tmp_path / "kubeconfig"
    path.write_text(
        "current-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
        "clusters: [{name: x, cluster: {server: 'https://10.0.0.1:6443'}}]\n"
        "users: [{name: x, user: {}}]\n"
    )
    api = await api_client(str(path), None, 4)
    assert api.rest_client.proxy == proxy
    await api.close()


@pytest.mark.parametrize(
    "text", ["", "clusters: 1", "current-context: x\ncontexts: []\nclusters: []\nusers: []\n"]
)
async def test_an_unusable_kubeconfig_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(NotConfigured, match=r"cannot find the API server: .*set KUBECONFIG"):
        await Client.connect(str(path))
