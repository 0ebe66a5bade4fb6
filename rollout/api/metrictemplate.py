"""MetricTemplate: a query that several canaries share (`flagger.app/v1beta1`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Name
from rollout.api.model import Bool, Model, Resource, Str
from rollout.api.querytemplate import QueryTemplate


class SecretRef(Model):
    """A Secret in the same namespace."""

    name: Name
    """Its name."""


class MetricProvider(Model):
    """Who answers the query."""

    type: Literal[
        "prometheus",
        "influxdb",
        "datadog",
        "externalmetrics",
        "stackdriver",
        "cloudwatch",
        "newrelic",
        "graphite",
        "dynatrace",
        "keptn",
        "splunk",
    ]
    """Which kind of provider."""
    address: Str | None = None
    """Its address."""
    headers: Mapping[str, tuple[Str, ...]] = Field(default_factory=dict)
    """Headers sent with every request."""
    secret_ref: SecretRef | None = None
    """Secret with its credentials."""
    region: Str | None = None
    """Its region."""
    insecure_skip_verify: Bool = False
    """Whether its certificate is not verified."""


class MetricTemplateSpec(Model):
    """A query and who answers it."""

    provider: MetricProvider
    """Who answers."""
    query: QueryTemplate
    """The query, as a Go template."""


class MetricTemplate(Resource):
    """A query that several canaries share."""

    KIND = kinds.METRIC_TEMPLATE

    spec: MetricTemplateSpec
    """What the user wants."""
    status: Mapping[str, Any] = Field(default_factory=dict)
    """Not used."""
