"""Which metric providers there are. A new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollout.judge.checks import Answer, QueryFailed
from rollout.judge.evidence.providers.cloudwatch import CloudWatch
from rollout.judge.evidence.providers.datadog import Datadog
from rollout.judge.evidence.providers.dynatrace import Dynatrace
from rollout.judge.evidence.providers.externalmetrics import ExternalMetrics
from rollout.judge.evidence.providers.graphite import Graphite
from rollout.judge.evidence.providers.influxdb import InfluxDB
from rollout.judge.evidence.providers.keptn import Keptn
from rollout.judge.evidence.providers.newrelic import NewRelic
from rollout.judge.evidence.providers.prometheus import Prometheus
from rollout.judge.evidence.providers.setup import MisconfiguredError, Provider, Setup
from rollout.judge.evidence.providers.splunk import Splunk
from rollout.judge.evidence.providers.stackdriver import Stackdriver

PROVIDERS: Mapping[str, Callable[[Setup], Provider]] = {
    "cloudwatch": CloudWatch,
    "datadog": Datadog,
    "dynatrace": Dynatrace,
    "externalmetrics": ExternalMetrics,
    "graphite": Graphite,
    "influxdb": InfluxDB,
    "keptn": Keptn,
    "newrelic": NewRelic,
    "prometheus": Prometheus,
    "splunk": Splunk,
    "stackdriver": Stackdriver,
}
"""The providers by the `type` that a MetricTemplate names."""


def misconfigured(setup: Setup) -> QueryFailed | None:
    """What is wrong with a provider's configuration, if anything is."""
    try:
        PROVIDERS[setup.source.type](setup)
    except MisconfiguredError as error:
        return QueryFailed(str(error), retriable=False)
    return None


async def ask(setup: Setup, query: str) -> Answer:
    """The query's answer from the provider that `setup` describes; a wrong configuration is an answer, too."""
    try:
        return await PROVIDERS[setup.source.type](setup).answer(query)
    except MisconfiguredError as error:
        return QueryFailed(str(error), retriable=False)
