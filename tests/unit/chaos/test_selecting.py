"""Which targets share pods, as far as selectors tell."""

from __future__ import annotations

import pytest

from rollout.chaos.selecting import own_services, selected, selectors, share_pods

SERVICES = [
    {"metadata": {"name": name}, "spec": {"selector": selector}}
    for name, selector in {
        "catalog": {"app": "catalog"},
        "catalog-zone-b": {"app": "catalog", "zone": "b"},
        "cart": {"app": "cart"},
        "web": {"app": "web-primary"},
        "web-canary": {"app": "web"},
        "metrics": {"app": "web"},
        "outside": None,
    }.items()
]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("catalog", "all"), ("catalog-zone-b", "all"), True),
        (("catalog-zone-b", "all"), ("catalog", "all"), True),
        (("catalog", "all"), ("cart", "all"), False),
        (("web", "all"), ("metrics", "all"), True),
        (("web", "primary"), ("metrics", "all"), False),
        (("outside", "all"), ("catalog", "all"), False),
        (("outside", "all"), ("not-there", "all"), False),
    ],
)
def test_targets_share_pods(one: tuple[str, str], other: tuple[str, str], shared: bool) -> None:
    known = selectors(SERVICES)
    mine, theirs = (selected(own_services(*each), known) for each in (one, other))
    assert share_pods(mine, theirs) is shared
