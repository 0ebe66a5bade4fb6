"""DestinationRule: the subsets of a service, and how its endpoints are treated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import (
    AnyDuration,
    Count,
    Name,
    Percent,
    PercentFraction,
    PositiveDuration,
    Timeout,
)
from rollout.api.istio.http import PortSelector
from rollout.api.istio.virtualservice import ISTIO_VERSIONS
from rollout.api.model import Bool, Int, Model, Number, Problem, Resource, Str, StrMap


class TCPKeepalive(Model):
    """Probes of an idle connection."""

    probes: Count | None = None
    """How many go unanswered before it is dropped."""
    time: PositiveDuration | None = None
    """How long it is idle before the first."""
    interval: PositiveDuration | None = None
    """Between two."""


class TCPSettings(Model):
    """Limits of connections."""

    max_connections: Count | None = None
    """Most connections to the destination."""
    connect_timeout: PositiveDuration | None = None
    """Time for a connection to be made."""
    tcp_keepalive: TCPKeepalive | None = None
    """Probes of idle connections."""
    max_connection_duration: PositiveDuration | None = None
    """Longest life of a connection."""
    idle_timeout: Timeout | None = None
    """Longest idleness of a connection; 0s means for ever."""


class HTTPSettings(Model):
    """Limits of requests."""

    http1_max_pending_requests: Count | None = None
    """Most requests that wait for a connection."""
    http2_max_requests: Count | None = None
    """Most requests at one time."""
    max_requests_per_connection: Count | None = None
    """Most requests on one connection; 1 turns keep-alive off."""
    max_retries: Count | None = None
    """Most retries at one time."""
    idle_timeout: Timeout | None = None
    """Longest idleness of a connection."""
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    """Whether HTTP/1.1 becomes HTTP/2."""
    use_client_protocol: Bool | None = None
    """Whether the client's protocol is kept."""
    max_concurrent_streams: Count | None = None
    """Most streams on one HTTP/2 connection."""


class ConnectionPoolSettings(Model):
    """Limits of connections and requests."""

    tcp: TCPSettings | None = None
    """Limits of connections."""
    http: HTTPSettings | None = None
    """Limits of requests."""


class HTTPCookie(Model):
    """A cookie that is hashed."""

    name: Name
    """Its name."""
    path: Str | None = None
    """Its path."""
    ttl: AnyDuration | None = None
    """Its life; set by the proxy where the client has none."""


class RingHash(Model):
    """Endpoints on a ring."""

    minimum_ring_size: Count | None = None
    """Least size of the ring."""


class Maglev(Model):
    """Endpoints in a table."""

    table_size: Count | None = None
    """Size of the table, a prime number."""


class ConsistentHash(Model):
    """The same endpoint for the same key."""

    http_header_name: Str | None = None
    """The key is this header."""
    http_cookie: HTTPCookie | None = None
    """The key is this cookie."""
    use_source_ip: Bool | None = None
    """The key is the caller's address."""
    http_query_parameter_name: Str | None = None
    """The key is this query parameter."""
    minimum_ring_size: Count | None = None
    """Deprecated: least size of the hash ring."""
    ring_hash: RingHash | None = None
    """Endpoints on a ring, which is the default."""
    maglev: Maglev | None = None
    """Endpoints in a table."""


class Warmup(Model):
    """A new endpoint's share grows."""

    duration: AnyDuration | None = None
    """For how long."""
    minimum_percent: PercentFraction | None = None
    """Where it begins, 10 where unset."""
    aggression: Number | None = None
    """How fast it grows, 1.0 (evenly) where unset."""


class RetryBudget(Model):
    """Retries as a share of the requests under way."""

    percent: PercentFraction | None = None
    """The share, 20 where unset."""
    min_retry_concurrency: Count | None = None
    """Retries that are always allowed, 3 where unset."""


class LocalityDistribute(Model):
    """Shares of localities for callers of one."""

    from_: Str | None = Field(default=None, alias="from")
    """The callers' locality."""
    to: Mapping[str, Int] = Field(default_factory=dict)
    """Percentages by locality."""


class LocalityFailover(Model):
    """Where calls go when a region fails."""

    from_: Str | None = Field(default=None, alias="from")
    """The callers' region."""
    to: Str | None = None
    """The region that takes over."""


class LocalityLbSetting(Model):
    """Preference for near endpoints."""

    distribute: tuple[LocalityDistribute, ...] = ()
    """Shares of localities."""
    failover: tuple[LocalityFailover, ...] = ()
    """Where calls go when a region fails."""
    failover_priority: tuple[Str, ...] = ()
    """Labels that make an endpoint near: the more of them, from the first, are as the caller's (or as `label=value` says)."""
    enabled: Bool | None = None
    """Whether it is on."""

    def problems(self) -> Iterator[Problem]:
        """Shares and preferences at once."""
        for name, given in (
            ("failover", self.failover),
            ("failoverPriority", self.failover_priority),
        ):
            if self.distribute and given:
                yield Problem("", f"sets distribute and {name}", "keep one of them")


class LoadBalancerSettings(Model):
    """How an endpoint is chosen."""

    simple: (
        Literal[
            "UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"
        ]
        | None
    ) = None
    """One of the usual ways."""
    consistent_hash: ConsistentHash | None = None
    """The same endpoint for the same key."""
    locality_lb_setting: LocalityLbSetting | None = None
    """Preference for near endpoints."""
    warmup_duration_secs: AnyDuration | None = None
    """Deprecated: time in which a new endpoint's share grows."""
    warmup: Warmup | None = None
    """How a new endpoint's share grows."""

    def problems(self) -> Iterator[Problem]:
        """Two ways at once."""
        if self.simple and self.consistent_hash:
            yield Problem("", "sets simple and consistentHash", "keep one of them")


class OutlierDetection(Model):
    """Endpoints that fail are left out for a while."""

    consecutive_errors: Count | None = None
    """Deprecated: failures in a row before an endpoint is left out."""
    consecutive_5xx_errors: Count | None = Field(default=None, alias="consecutive5xxErrors")
    """Answers of 5xx in a row before an endpoint is left out."""
    consecutive_gateway_errors: Count | None = None
    """Answers of 502, 503 or 504 in a row before an endpoint is left out."""
    consecutive_local_origin_failures: Count | None = None
    """Failures to connect in a row before an endpoint is left out."""
    split_external_local_origin_errors: Bool | None = None
    """Whether failures to connect are counted apart."""
    interval: PositiveDuration | None = None
    """Between two looks."""
    base_ejection_time: PositiveDuration | None = None
    """How long an endpoint is left out, times how often it was."""
    max_ejection_percent: Percent | None = None
    """Most endpoints that are left out at one time."""
    min_health_percent: Percent | None = None
    """Below this share of healthy endpoints nothing is left out."""


class ClientTLSSettings(Model):
    """TLS towards the destination."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] | None = None
    """Which TLS."""
    client_certificate: Str | None = None
    """File of the client's certificate."""
    private_key: Str | None = None
    """File of the client's key."""
    ca_certificates: Str | None = None
    """File of the authorities that the server's certificate may come from."""
    ca_crl: Str | None = None
    """File of revoked certificates."""
    credential_name: Str | None = None
    """Secret with key and certificates."""
    subject_alt_names: tuple[Str, ...] = ()
    """Names that the server's certificate may carry."""
    sni: Str | None = None
    """Server name that is asked for."""
    insecure_skip_verify: Bool | None = None
    """Whether the server's certificate is not verified."""


class ProxyProtocol(Model):
    """Connections begin with the caller's address."""

    version: Literal["V1", "V2"] | None = None
    """Of the PROXY protocol; V1 where unset."""


class PortTrafficPolicy(Model):
    """How endpoints are treated on one port."""

    port: PortSelector | None = None
    """The port."""
    load_balancer: LoadBalancerSettings | None = None
    """How an endpoint is chosen."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """Endpoints that fail are left out."""
    tls: ClientTLSSettings | None = None
    """TLS towards the destination."""


class TrafficPolicy(Model):
    """How the destination's endpoints are treated."""

    load_balancer: LoadBalancerSettings | None = None
    """How an endpoint is chosen."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """Endpoints that fail are left out."""
    tls: ClientTLSSettings | None = None
    """TLS towards the destination."""
    retry_budget: RetryBudget | None = None
    """Retries as a share of the requests under way."""
    proxy_protocol: ProxyProtocol | None = None
    """Whether the destination is told the caller's address by the PROXY protocol."""
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    """The same for single ports, instead of the above."""


class Subset(Model):
    """Endpoints of the service that carry labels, such as one version."""

    name: Name
    """Its name."""
    labels: StrMap = Field(default_factory=dict)
    """Labels of its pods."""
    traffic_policy: TrafficPolicy | None = None
    """How its endpoints are treated."""


class DestinationRuleSpec(Model):
    """The subsets of a service, and how its endpoints are treated."""

    host: Name
    """The service's name: short, which means in the rule's namespace, or fully qualified."""
    traffic_policy: TrafficPolicy | None = None
    """How its endpoints are treated."""
    subsets: tuple[Subset, ...] = ()
    """Its subsets."""
    export_to: tuple[Str, ...] = ()
    """Namespaces that see it."""
    workload_selector: Mapping[Str, StrMap] | None = None
    """Refused: without it this would be for more callers than was meant."""

    def problems(self) -> Iterator[Problem]:
        """A subset declared twice, and rules for some callers only."""
        if self.workload_selector:
            reason = "is not known here: the rule would be for all callers"
            yield Problem("workloadSelector", reason, "use exportTo, or a namespace of its own")
        names = [subset.name for subset in self.subsets]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(f"subsets[{index}].name", f"{name!r} is declared twice", "rename one")


class DestinationRule(Resource):
    """The subsets of a service, and how its endpoints are treated."""

    KIND = kinds.DESTINATION_RULE
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: DestinationRuleSpec
    """What the user wants."""


__all__ = ["DestinationRule", "DestinationRuleSpec", "Subset", "TrafficPolicy"]
