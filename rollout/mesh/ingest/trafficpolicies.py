"""Traffic policies of DestinationRules into the model; what Envoy would refuse is found here, and left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from rollout.api.istio import destinationrule as api
from rollout.mesh.ingest.envoyable import header_value
from rollout.mesh.model import balancing
from rollout.mesh.model import traffic as ir
from rollout.mesh.model.problem import Problem, Ref

_REMEDY = "remove it, or wait for a version that acts upon it"
_MOST = 2**32 - 1
_MOST_RING, _MOST_TABLE = 8_388_608, 5_000_011
_DEFAULT_TABLE = 65_537
_BALANCERS = {
    "ROUND_ROBIN": balancing.Balancer.ROUND_ROBIN,
    "LEAST_CONN": balancing.Balancer.LEAST_REQUEST,
    "LEAST_REQUEST": balancing.Balancer.LEAST_REQUEST,
    "RANDOM": balancing.Balancer.RANDOM,
    "PASSTHROUGH": balancing.Balancer.PASSTHROUGH,
}


_ALIKE = {
    "kubernetes.io/hostname": "the mesh does not tell nodes apart",
    "topology.istio.io/cluster": "the mesh is of one cluster",
    "topology.istio.io/network": "all networks are one",
}
"""Labels that endpoints and proxies have in Istio, and not here."""


class Reader:
    """Reads the policies of one rule, gathering its problems."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref
        self.problems: list[Problem] = []
        self._preferring: list[str] = []
        self._detecting = False

    def close(self) -> list[Problem]:
        """All problems, those of what its policies come to together too."""
        for path in () if self._detecting else self._preferring:
            reason = "has no effect without outlierDetection: nothing tells that endpoints fail"
            self._say(path, reason, "add outlierDetection")
        return self.problems

    def _say(self, field: str, reason: str, remedy: str = _REMEDY) -> None:
        self.problems.append(Problem(self._ref, field, reason, remedy))

    def ported(self, path: str, policy: api.TrafficPolicy | None) -> ir.PortedPolicy:
        """A policy with those of single ports."""
        if policy is None:
            return ir.PortedPolicy()
        common = self._policy(path, policy)
        if (budget := policy.retry_budget) is not None:
            share = 20.0 if budget.percent is None else budget.percent
            least = _count(budget.min_retry_concurrency, 3)
            common = replace(common, budget=ir.RetryBudget(percent=share, least=least))
        if (announced := policy.proxy_protocol) is not None:
            common = replace(common, announced=2 if announced.version == "V2" else 1)
        ports: dict[int, ir.TrafficPolicy] = {}
        for index, each in enumerate(policy.port_level_settings):
            field = f"{path}.portLevelSettings[{index}]"
            number = each.port.number if each.port is not None else None
            if number is None:
                self._say(f"{field}.port.number", "is missing", "name the service's port")
                continue
            ports[number] = self._policy(field, each)
        return ir.PortedPolicy(common=common, ports=tuple(sorted(ports.items(), key=_first)))

    def _policy(
        self, path: str, policy: api.TrafficPolicy | api.PortTrafficPolicy
    ) -> ir.TrafficPolicy:
        self._detecting |= policy.outlier_detection is not None
        return ir.TrafficPolicy(
            balancer=self._balancer(f"{path}.loadBalancer", policy.load_balancer),
            pool=_pool(policy.connection_pool),
            outlier=_outlier(policy.outlier_detection),
            tls=self._tls(f"{path}.tls", policy.tls),
        )

    def _tls(self, path: str, given: api.ClientTLSSettings | None) -> ir.ClientTLS | None:
        if given is None:
            return None
        mode = ir.ClientTLSMode(given.mode or "DISABLE")
        found = ir.ClientTLS(
            mode=mode,
            sni=given.sni or "",
            names=given.subject_alt_names,
            certificate=given.client_certificate or "",
            key=given.private_key or "",
            authorities=given.ca_certificates or "",
            credential=given.credential_name or "",
            revoked=given.ca_crl or "",
            unverified=bool(given.insecure_skip_verify),
        )
        if given.ca_crl and given.credential_name:
            reason = "has no effect with credentialName"
            self._say(f"{path}.caCrl", reason, "put it into the Secret as ca.crl")
        if mode is ir.ClientTLSMode.MUTUAL and not found.credential and not found.certificate:
            remedy = "give credentialName, or clientCertificate with privateKey"
            self._say(path, "MUTUAL needs a certificate: requests fail", remedy)
        return found

    def _balancer(
        self, path: str, settings: api.LoadBalancerSettings | None
    ) -> balancing.LoadBalancer | None:
        if settings is None:
            return None
        return balancing.LoadBalancer(
            simple=_BALANCERS.get(settings.simple or "", balancing.Balancer.LEAST_REQUEST),
            consistent_hash=self._hash(f"{path}.consistentHash", settings.consistent_hash),
            warmup=self._warmup(path, settings),
            locality=self._locality(f"{path}.localityLbSetting", settings.locality_lb_setting),
        )

    def _hash(self, path: str, given: api.ConsistentHash | None) -> balancing.ConsistentHash | None:
        if given is None:
            return None
        key = _key(given)
        texts = (key.header, key.query, key.cookie.name if key.cookie else "")
        if key == balancing.HashKey():
            self._say(path, "names no key", "give httpHeaderName, httpCookie or another key")
            return None
        if any(header_value(text) is None for text in texts):
            self._say(path, "has characters that HTTP cannot carry", "use printable ASCII")
            return None
        ring = given.ring_hash.minimum_ring_size if given.ring_hash else given.minimum_ring_size
        table = None
        if given.maglev is not None:
            table = given.maglev.table_size or _DEFAULT_TABLE
            if table > _MOST_TABLE or not _prime(table):
                reason = f"{table} is not a prime number up to {_MOST_TABLE}"
                self._say(f"{path}.maglev.tableSize", reason, f"give one such as {_DEFAULT_TABLE}")
                table = _DEFAULT_TABLE
        return balancing.ConsistentHash(key=key, ring=min(ring or 1024, _MOST_RING), maglev=table)

    def _warmup(self, path: str, settings: api.LoadBalancerSettings) -> balancing.Warmup | None:
        warmup = settings.warmup
        duration = _seconds(warmup.duration if warmup else settings.warmup_duration_secs)
        if not duration:
            return None
        if settings.consistent_hash or settings.simple in {"RANDOM", "PASSTHROUGH"}:
            field = "warmup" if warmup else "warmupDurationSecs"
            reason = "has an effect with ROUND_ROBIN and LEAST_REQUEST only"
            self._say(f"{path}.{field}", reason, "remove it, or choose one of these")
            return None
        minimum = warmup.minimum_percent if warmup else None
        aggression = warmup.aggression if warmup else None
        return balancing.Warmup(
            duration=duration,
            minimum=10.0 if minimum is None else minimum,
            aggression=max(float(aggression or 1.0), 1.0),
        )

    def _locality(self, path: str, given: api.LocalityLbSetting | None) -> balancing.LocalityRules:
        if given is None:
            return balancing.LocalityRules()
        if given.failover or given.failover_priority:
            self._preferring.append(path)
        if given.failover and given.failover_priority:
            self._say(f"{path}.failover", "has no effect with failoverPriority", "keep one of them")
        shares = []
        for index, rule in enumerate(given.distribute):
            if sum(rule.to.values()) != 100 or min(rule.to.values()) < 0:
                reason = f"the shares sum up to {sum(rule.to.values())}"
                self._say(f"{path}.distribute[{index}].to", reason, "make them 100")
                continue
            shares.append((rule.from_ or "*", tuple(sorted(rule.to.items()))))
        return balancing.LocalityRules(
            enabled=given.enabled is not False,
            distribute=tuple(shares),
            failover=tuple((each.from_ or "", each.to or "") for each in given.failover),
            priority=tuple(self._compared(path, given.failover_priority)),
        )

    def _compared(self, path: str, written: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
        for index, each in enumerate(written):
            label, equals, value = each.partition("=")
            if label in _ALIKE:
                field = f"{path}.failoverPriority[{index}]"
                self._say(field, f"{label} is not compared: {_ALIKE[label]}", "remove it")
                continue
            yield label, value if equals else None


def _first(pair: tuple[int, object]) -> int:
    return pair[0]


def _key(given: api.ConsistentHash) -> balancing.HashKey:
    cookie = given.http_cookie
    if given.http_header_name:
        return balancing.HashKey(header=given.http_header_name)
    if cookie is not None:
        return balancing.HashKey(
            cookie=balancing.Cookie(cookie.name, cookie.path or "", _seconds(cookie.ttl))
        )
    if given.http_query_parameter_name:
        return balancing.HashKey(query=given.http_query_parameter_name)
    return balancing.HashKey(source_ip=bool(given.use_source_ip))


def _pool(given: api.ConnectionPoolSettings | None) -> ir.ConnectionPool | None:
    if given is None:
        return None
    tcp, http = given.tcp or api.TCPSettings(), given.http or api.HTTPSettings()
    return ir.ConnectionPool(
        connections=_limit(tcp.max_connections),
        pending=_limit(http.http1_max_pending_requests),
        requests=_limit(http.http2_max_requests),
        retries=_limit(http.max_retries),
        requests_per_connection=_limit(http.max_requests_per_connection),
        streams=_limit(http.max_concurrent_streams),
        connect_timeout=_seconds(tcp.connect_timeout),
        idle_timeout=_seconds(http.idle_timeout),
        connection_idle=_seconds(tcp.idle_timeout),
        duration=_seconds(tcp.max_connection_duration),
        keepalive=_keepalive(tcp.tcp_keepalive),
        upgrade=http.h2_upgrade_policy == "UPGRADE",
        client_protocol=bool(http.use_client_protocol),
    )


def _keepalive(given: api.TCPKeepalive | None) -> ir.Keepalive | None:
    if given is None:
        return None
    return ir.Keepalive(
        probes=_limit(given.probes), time=_whole(given.time), interval=_whole(given.interval)
    )


def _outlier(given: api.OutlierDetection | None) -> ir.OutlierDetection | None:
    """The deprecated `consecutiveErrors` counts every 5xx, as it did when it was the only one; zero switches off."""
    if given is None:
        return None
    server = given.consecutive_5xx_errors
    return ir.OutlierDetection(
        server_errors=given.consecutive_errors if server is None else server,
        gateway_errors=given.consecutive_gateway_errors,
        local_errors=_limit(given.consecutive_local_origin_failures),
        split=bool(given.split_external_local_origin_errors),
        interval=_seconds(given.interval),
        ejection=_seconds(given.base_ejection_time),
        most=given.max_ejection_percent,
        least_healthy=given.min_health_percent or 0,
    )


def _limit(value: int | None) -> int | None:
    """A limit as Envoy's 32 bits hold it; zero says nothing, as in Istio."""
    return min(value, _MOST) if value else None


def _count(value: int | None, default: int) -> int:
    return default if value is None else min(value, _MOST)


def _seconds(value: timedelta | None) -> float | None:
    return value.total_seconds() if value is not None else None


def _whole(value: timedelta | None) -> int | None:
    return max(1, round(value.total_seconds())) if value is not None else None


def _prime(number: int) -> bool:
    if number < 2:
        return False
    return all(number % factor for factor in range(2, int(number**0.5) + 1))
