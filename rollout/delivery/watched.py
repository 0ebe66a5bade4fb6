"""Which kinds delivery reads, and what of them is kept."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.api.kinds import (
    ALERT_PROVIDER,
    CANARY,
    CHAOS_EXPERIMENT,
    CONFIG_MAP,
    HORIZONTAL_POD_AUTOSCALER,
    METRIC_TEMPLATE,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
    SECRET,
    Kind,
)
from rollout.delivery.routing import routed_kinds, router_for
from rollout.delivery.snapshot import Settings
from rollout.delivery.targets import TARGETS
from rollout.kube.cache import Cache
from rollout.kube.objects import Object
from rollout.kube.store import Store, drop_managed_fields

_GUARDS = (HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET)
# Neither is ever copied to a primary, and both may be large and many.
_BULKY_SECRETS = frozenset({"helm.sh/release.v1", "kubernetes.io/service-account-token"})


def watch(cache: Cache, settings: Settings) -> Mapping[Kind, Store]:
    """A store for every kind that delivery reads; configs only where they are tracked."""
    router = router_for(settings.mesh_provider)
    always = (CANARY, METRIC_TEMPLATE, ALERT_PROVIDER, *TARGETS, *_GUARDS)
    kinds = (*always, *(router.kinds() if router else ()))
    stores = {kind: cache.watch(kind) for kind in kinds}
    # Canaries may name other routes than the controller's; few clusters have them all.
    for kind in (*routed_kinds(), SCALED_OBJECT, CHAOS_EXPERIMENT):
        if kind not in stores:
            stores[kind] = cache.watch(kind, optional=True, definitions=True)
    for kind in (CONFIG_MAP, SECRET):
        stores[kind] = (
            cache.watch(kind, trim=_without_bulk) if settings.config_tracking else Store(kind)
        )
    return stores


def _without_bulk(config: Object) -> Object:
    if config.get("type") in _BULKY_SECRETS:
        config.pop("data", None)
    return drop_managed_fields(config)
