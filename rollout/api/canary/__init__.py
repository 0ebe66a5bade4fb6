"""The Canary: `flagger.app/v1beta1`, with Flagger's whole schema."""

from rollout.api.canary.affinity import SessionAffinity
from rollout.api.canary.analysis import Analysis, CanaryAlert, CanaryWebhook
from rollout.api.canary.effective import effective
from rollout.api.canary.metric import BUILTIN_METRICS, CanaryMetric, ThresholdRange
from rollout.api.canary.resource import Canary, CanarySpec
from rollout.api.canary.service import CanaryService, CustomMetadata
from rollout.api.canary.status import CanaryStatus, Condition, Phase
from rollout.api.canary.support import (
    GATEWAY_API,
    ISTIO,
    KUBERNETES,
    SUPPORTED_PROVIDERS,
    canonical,
    notices,
    unsupported,
)

__all__ = [
    "BUILTIN_METRICS",
    "GATEWAY_API",
    "ISTIO",
    "KUBERNETES",
    "SUPPORTED_PROVIDERS",
    "Analysis",
    "Canary",
    "CanaryAlert",
    "CanaryMetric",
    "CanaryService",
    "CanarySpec",
    "CanaryStatus",
    "CanaryWebhook",
    "Condition",
    "CustomMetadata",
    "Phase",
    "SessionAffinity",
    "ThresholdRange",
    "canonical",
    "effective",
    "notices",
    "unsupported",
]
