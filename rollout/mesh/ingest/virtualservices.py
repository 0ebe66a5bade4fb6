"""VirtualServices to route tables: hosts resolved, Istio's defaults applied, what cannot be done said.

A rule that cannot be acted upon as written is left out as a whole; the others stay in force.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

from rollout.api.istio.http import (
    Destination,
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
)
from rollout.api.istio.match import CorsPolicy, Headers
from rollout.api.istio.virtualservice import VirtualService
from rollout.api.re2 import regex_fault
from rollout.mesh.ingest.connections import ConnectionRules
from rollout.mesh.ingest.envoyable import header_value
from rollout.mesh.ingest.faults import fault_of
from rollout.mesh.ingest.hosts import destination_of, exported, gateway_key, resolve
from rollout.mesh.ingest.matches import exact_or, match_of
from rollout.mesh.model import routing as ir
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.translate.retries import DEFAULT

_MOST_BODY = 1 << 20
_UNSUPPORTED = "remove it, or wait for a version that acts upon it"
_SAME_PORT = "FROM_REQUEST_PORT"
_DERIVED = ("FROM_PROTOCOL_DEFAULT", _SAME_PORT)
_PREFLIGHTS = {None: None, "UNSPECIFIED": None, "FORWARD": True, "IGNORE": False}
HEDGE = "mesh.rollout.dev/hedge-on-per-try-timeout"
"""Annotation of a VirtualService; Istio has an EnvoyFilter for this only."""


class Refused(Exception):  # noqa: N818 - it is not an error of the program
    """A rule cannot be acted upon as written."""

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        self.field, self.reason, self.remedy = field, reason, remedy
        super().__init__(reason)


def route_table(parsed: VirtualService) -> tuple[ir.RouteTable, list[Problem]]:
    """The table of a VirtualService, without the rules that have problems."""
    ref = Ref("VirtualService", parsed.namespace, parsed.name)
    spec = parsed.spec
    problems = list(_left_aside(parsed, ref))
    routes: list[ir.Route] = []
    hedge = parsed.metadata.annotations.get(HEDGE) == "true"
    for index, http in enumerate(spec.http):
        try:
            routes.append(_Rule(index, http, parsed.namespace, hedge=hedge).route())
        except Refused as refused:
            field = f"spec.http[{index}]{refused.field}"
            problems.append(Problem(ref, field, refused.reason, refused.remedy))
    gateways = tuple(gateway_key(name, parsed.namespace) for name in spec.gateways)
    connections = ConnectionRules(parsed, ref)
    table = ir.RouteTable(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        hosts=tuple(dict.fromkeys(resolve(host, parsed.namespace) for host in spec.hosts)),
        gateways=tuple(dict.fromkeys(gateways)) or (ir.MESH,),
        routes=tuple(routes),
        tcp=connections.tcp(),
        tls=connections.tls(),
        exported=exported(spec.export_to, parsed.namespace),
    )
    return table, problems + connections.problems


def _left_aside(parsed: VirtualService, ref: Ref) -> Iterator[Problem]:
    for field in parsed.unknown_fields:
        yield Problem(ref, field.path, field.reason, field.remedy or _UNSUPPORTED)
    for index, http in enumerate(parsed.spec.http):
        if http.rewrite is not None and http.rewrite.type is not None:
            reason = "is a Canary's field, which Istio does not have"
            yield Problem(ref, f"spec.http[{index}].rewrite.type", reason, "remove it")


class _Rule:
    """One http rule on its way into the model."""

    def __init__(self, index: int, http: HTTPRoute, namespace: str, *, hedge: bool) -> None:
        self._index, self._http, self._namespace = index, http, namespace
        self._hedge = hedge

    def route(self) -> ir.Route:
        http = self._http
        return ir.Route(
            index=self._index,
            name=http.name or "",
            matches=tuple(self._match(index, request) for index, request in enumerate(http.match)),
            action=self._action(),
            rewrite=_rewrite(http.rewrite),
            headers=_edits(http.headers, ".headers"),
            timeout=http.timeout.total_seconds() if http.timeout is not None else None,
            retries=_retries(http.retries, hedge=self._hedge),
            mirrors=tuple(self._mirrors()),
            cors=_cors(http.cors_policy),
            fault=self._fault(),
        )

    def _fault(self) -> ir.Fault | None:
        if self._http.fault is None:
            return None
        found = fault_of(self._http.fault)
        if isinstance(found, ir.Fault):
            return found
        raise Refused(f".fault{found.field}", found.reason, found.remedy)

    def _match(self, index: int, request: object) -> ir.Match:
        found = match_of(request, self._namespace)  # type: ignore[arg-type]
        if isinstance(found, ir.Match):
            return found
        raise Refused(f".match[{index}]{found.field}", found.reason, found.remedy)

    def _action(
        self,
    ) -> tuple[ir.WeightedDestination, ...] | ir.Redirect | ir.DirectResponse | ir.Delegation:
        http = self._http
        if (to := http.delegate) is not None:
            return ir.Delegation(
                Ref("VirtualService", to.namespace or self._namespace, to.name or "")
            )
        if http.redirect is not None:
            return _redirect(http.redirect)
        if http.direct_response is not None:
            return _direct(http.direct_response)
        return tuple(self._share(index, share) for index, share in enumerate(http.route))

    def _share(self, index: int, share: HTTPRouteDestination) -> ir.WeightedDestination:
        alone = len(self._http.route) == 1
        return ir.WeightedDestination(
            destination=self._destination(share.destination),
            weight=100 if alone else share.weight or 0,
            headers=_edits(share.headers, f".route[{index}].headers"),
        )

    def _destination(self, destination: Destination) -> ir.Destination:
        return destination_of(destination, self._namespace)

    def _mirrors(self) -> Iterator[ir.Mirror]:
        http = self._http
        if http.mirror is not None:
            percent = 100.0
            if http.mirror_percentage is not None:
                percent = http.mirror_percentage.value
            elif http.mirror_percent is not None:
                percent = float(http.mirror_percent)
            yield ir.Mirror(destination=self._destination(http.mirror), percent=percent)
        for policy in http.mirrors:
            share = policy.percentage.value if policy.percentage else 100.0
            yield ir.Mirror(destination=self._destination(policy.destination), percent=share)


def _redirect(redirect: HTTPRedirect) -> ir.Redirect:
    if redirect.derive_port not in {None, *_DERIVED}:
        reason = f"{redirect.derive_port!r} is unknown"
        raise Refused(".redirect.derivePort", reason, f"use {' or '.join(_DERIVED)}")
    for name, value in (("uri", redirect.uri), ("authority", redirect.authority)):
        _plain(f".redirect.{name}", value or "")
    return ir.Redirect(
        uri=redirect.uri or "",
        authority=redirect.authority or "",
        scheme=redirect.scheme or "",
        port=redirect.port,
        same_port=redirect.derive_port == _SAME_PORT,
        code=redirect.redirect_code or 301,
    )


def _direct(response: HTTPDirectResponse) -> ir.DirectResponse:
    body = b""
    if response.body is not None and response.body.string is not None:
        body = response.body.string.encode()
    elif response.body is not None and response.body.bytes is not None:
        try:
            body = base64.b64decode(response.body.bytes, validate=True)
        except binascii.Error:
            field = ".directResponse.body.bytes"
            raise Refused(field, "is not base64", "encode it, or use string") from None
    if len(body) > _MOST_BODY:
        raise Refused(".directResponse.body", "is longer than 1 MiB", "shorten it")
    return ir.DirectResponse(status=response.status, body=body)


def _rewrite(rewrite: HTTPRewrite | None) -> ir.Rewrite | None:
    if rewrite is None:
        return None
    for name, value in (("uri", rewrite.uri), ("authority", rewrite.authority)):
        _plain(f".rewrite.{name}", value or "")
    pattern = None
    if (regex := rewrite.uri_regex_rewrite) is not None:
        if fault := regex_fault(regex.match):
            raise Refused(".rewrite.uriRegexRewrite.match", fault, "write an RE2 expression")
        _plain(".rewrite.uriRegexRewrite.rewrite", regex.rewrite)
        pattern = (regex.match, regex.rewrite)
    return ir.Rewrite(uri=rewrite.uri or "", authority=rewrite.authority or "", pattern=pattern)


def _retries(retries: HTTPRetry | None, *, hedge: bool) -> ir.Retries | None:
    if retries is None:
        return None
    words = [word.strip() for word in (retries.retry_on or "").split(",") if word.strip()]
    codes = tuple(int(word) for word in words if word.isdecimal() and 100 <= int(word) < 600)
    conditions = [word for word in words if not word.isdecimal()]
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    timeout = retries.per_try_timeout
    _plain(".retries.retryOn", ",".join(conditions))
    return ir.Retries(
        attempts=retries.attempts,
        on=",".join(conditions) or DEFAULT.on,
        status_codes=codes if conditions else DEFAULT.status_codes,
        per_try_timeout=timeout.total_seconds() if timeout else None,
        backoff=retries.backoff.total_seconds() if retries.backoff else None,
        other_hosts=retries.retry_ignore_previous_hosts is not False,
        remote=bool(retries.retry_remote_localities),
        hedge=hedge and timeout is not None,
    )


def _edits(headers: Headers | None, field: str) -> ir.HeaderEdits:
    if headers is None:
        return ir.HeaderEdits()
    request, response = headers.request, headers.response
    return ir.HeaderEdits(
        request_set=_pairs(request.set.items() if request else (), f"{field}.request.set"),
        request_add=_pairs(request.add.items() if request else (), f"{field}.request.add"),
        request_remove=request.remove if request else (),
        response_set=_pairs(response.set.items() if response else (), f"{field}.response.set"),
        response_add=_pairs(response.add.items() if response else (), f"{field}.response.add"),
        response_remove=response.remove if response else (),
    )


def _pairs(items: Iterable[tuple[str, str]], field: str) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in sorted(items):
        if name.startswith(":") and name != ":authority":
            raise Refused(field, f"{name!r} cannot be set", "remove it")
        clean = header_value(value)
        if clean is None:
            reason = f"the value of {name!r} has characters that a header cannot carry"
            raise Refused(field, reason, "use printable ASCII")
        found.append((name, clean))
    return tuple(found)


def _cors(policy: CorsPolicy | None) -> ir.Cors | None:
    if policy is None:
        return None
    plain = tuple(ir.StringMatch(ir.MatchKind.EXACT, origin) for origin in policy.allow_origin)
    origins = []
    for index, origin in enumerate(policy.allow_origins):
        found = exact_or(origin, ir.MatchKind.PRESENT)
        if not isinstance(found, ir.StringMatch):
            raise Refused(f".corsPolicy.allowOrigins[{index}]", found.reason, found.remedy)
        origins.append(found)
    if policy.unmatched_preflights not in _PREFLIGHTS:
        reason = f"{policy.unmatched_preflights!r} is unknown"
        raise Refused(".corsPolicy.unmatchedPreflights", reason, "use FORWARD or IGNORE")
    return ir.Cors(
        origins=plain + tuple(origins),
        methods=policy.allow_methods,
        headers=policy.allow_headers,
        expose=policy.expose_headers,
        max_age=policy.max_age.total_seconds() if policy.max_age is not None else None,
        credentials=policy.allow_credentials,
        forward=_PREFLIGHTS[policy.unmatched_preflights],
    )


def _plain(field: str, value: str) -> None:
    if header_value(value) is None:
        raise Refused(field, "has characters that HTTP cannot carry", "use printable ASCII")
