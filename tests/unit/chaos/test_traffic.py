"""Under which names the requests to a target are counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.traffic import FAULTED, names, query, requests


def experiment(service: str, arm: str = "all") -> ChaosExperiment:
    return ChaosExperiment.parse(
        {
            "apiVersion": "chaos.rollout.dev/v1alpha1",
            "kind": "ChaosExperiment",
            "metadata": {"namespace": "shop", "name": "slow"},
            "spec": {
                "target": {"service": service, "arm": arm},
                "fault": {"abort": {"httpStatus": 503}},
                "duration": "60s",
            },
        }
    )


SERVICES: list[dict[str, Any]] = [
    {"metadata": {"name": name}, "spec": {"selector": selector}}
    for name, selector in {
        "catalog": {"app": "catalog"},
        "catalog-zone-b": {"app": "catalog", "zone": "b"},
        "web": {"app": "web-primary"},
        "web-primary": {"app": "web-primary"},
        "web-canary": {"app": "web"},
        "outside": None,
    }.items()
]


@pytest.mark.parametrize(
    ("service", "arm", "counted"),
    [
        ("catalog-zone-b", "all", {"catalog", "catalog-zone-b"}),
        ("catalog", "all", {"catalog"}),
        ("web", "primary", {"web", "web-primary"}),
        ("web", "canary", {"web-canary"}),
        ("web", "all", {"web", "web-primary", "web-canary"}),
        ("outside", "all", {"outside"}),
        ("not-there", "all", {"not-there"}),
    ],
)
def test_a_pod_counts_under_one_of_its_services(service: str, arm: str, counted: set[str]) -> None:
    found = set(names(experiment(service, arm), SERVICES))
    known = {each["metadata"]["name"] for each in SERVICES}
    assert found & (known | {service}) == counted


def test_the_query_counts_from_the_injection() -> None:
    since = datetime(2026, 1, 20, 22, 50, tzinfo=UTC)
    series = requests(experiment("catalog"), ("a", "b"), FAULTED)
    assert 'destination_service_name=~"a|b"' in series
    text = query(series, since)
    assert text.count(series) == 2
    assert f"@ {since.timestamp():.3f}" in text
