from __future__ import annotations

import pytest

from rollout.mesh.agent.settings import SettingsError, from_environment, parse_labels

ENV = {
    "POD_NAME": "catalog-1",
    "POD_NAMESPACE": "shop",
    "INSTANCE_IP": "10.0.0.7",
    "DISCOVERY_ADDRESS": "rollout-mesh.rollout-system.svc:15010",
}


def test_the_pods_addresses_come_before_its_first_one() -> None:
    settings = from_environment("sidecar", {**ENV, "INSTANCE_IPS": "10.0.0.7, fd00::7"})
    assert settings.instance_ips == ("10.0.0.7", "fd00::7")


@pytest.mark.parametrize("name", sorted(ENV))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_environment("sidecar", {key: value for key, value in ENV.items() if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"PROXY_CONCURRENCY": "many"}, "PROXY_CONCURRENCY='many'"),
        ({"TERMINATION_DRAIN_SECONDS": "-1"}, "TERMINATION_DRAIN_SECONDS='-1'"),
        ({"SECRET_TTL": "1d"}, "SECRET_TTL='1d': must be hours, minutes and seconds"),
        ({"TERMINATION_DRAIN_SECONDS": "nan"}, "TERMINATION_DRAIN_SECONDS='nan'"),
    ],
)
def test_a_senseless_number_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_environment("sidecar", {**ENV, **change})


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("90s", 90), ("24h", 86400), ("1h2m3s", 3723)]
)
def test_how_long_certificates_are_to_hold(text: str, seconds: int) -> None:
    assert from_environment("sidecar", {**ENV, "SECRET_TTL": text}).certificate_seconds == seconds


def test_a_proxy_has_an_identity_unless_it_is_told_otherwise() -> None:
    assert from_environment("sidecar", ENV).secured
    assert not from_environment("sidecar", {**ENV, "CONTROL_PLANE_AUTH_POLICY": "NONE"}).secured
    with pytest.raises(SettingsError, match="must be MUTUAL_TLS or NONE"):
        from_environment("sidecar", {**ENV, "CONTROL_PLANE_AUTH_POLICY": "SOME"})


def test_an_unknown_proxy_type_is_refused() -> None:
    with pytest.raises(SettingsError, match="waypoint"):
        from_environment("waypoint", ENV)


def test_labels_as_the_downward_api_writes_them() -> None:
    text = 'app="catalog"\npod-template-hash="5d8f"\nversion=""\n'
    assert parse_labels(text) == {"app": "catalog", "pod-template-hash": "5d8f", "version": ""}
