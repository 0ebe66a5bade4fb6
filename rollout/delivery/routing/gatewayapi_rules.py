"""What a canary says of its requests, in the words of Gateway API: the matches, filters and backends of its rules.

Written from the conditions that Istio's routes share (`routing.istio`). Knows the rules' content; neither the routes that
they are in nor what others wrote there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rollout.api.durations import parse_go_duration
from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE, Kind
from rollout.delivery.affinity import Cookie
from rollout.delivery.objects.services import Side, service_name
from rollout.delivery.routing.istio import both, carrying, comparable
from rollout.delivery.routing.router import TOTAL, Split, Weights
from rollout.kube.objects import Object

_EVERYTHING: Object = {"path": {"type": "PathPrefix", "value": "/"}}


def rules(kind: Kind, canary: Object, split: Split) -> list[Object]:
    """The canary's rules, the one that its weights are in last, but for bystanders of an A/B test."""
    service = canary["spec"]["service"].get("match") or []
    analysis = canary["spec"]["analysis"].get("match") or []
    mine, kept = both(list(map(comparable, analysis)), service), split.affinity
    found: list[Object] = []
    if kept.canary:
        match, shares = both(carrying(kept.canary), mine), Weights.of_canary(TOTAL)
        found.append(_rule(kind, canary, match, backends(canary, shares)))
        if kept.primary:
            match, shares = both(carrying(kept.primary), mine), Weights.of_canary(0)
            found.append(_rule(kind, canary, match, backends(canary, shares)))
    elif kept.previous:
        match = both(carrying(kept.previous), mine)
        refs = backends(canary, split.weights)
        found.append(_rule(kind, canary, match, refs, taken_back=kept.previous, split=split))
    primary, other, *baseline = backends(canary, split.weights)
    _hand_out(other, kept.canary)
    _hand_out(primary, kept.primary)
    found.append(_rule(kind, canary, mine, [primary, other, *baseline], split=split))
    if analysis:
        found.append(_rule(kind, canary, service, backends(canary, Weights.of_canary(0))[:1]))
    return found


def backends(canary: Object, weights: Weights) -> list[Object]:
    """The primary's and the canary's service with their weights, and the baseline's where it has one."""
    found = [
        _backend(canary, Side.PRIMARY, weights.primary),
        _backend(canary, Side.CANARY, weights.canary),
    ]
    return [*found, *baseline_backend(canary, weights)]


def baseline_backend(canary: Object, weights: Weights) -> list[Object]:
    """The baseline's service with its weight; none where it has none."""
    return [_backend(canary, Side.BASELINE, weights.baseline)] if weights.baseline else []


def _backend(canary: Object, side: Side, weight: int) -> Object:
    return {**_service(canary, side), "weight": weight}


def _service(canary: Object, side: Side) -> Object:
    port = canary["spec"]["service"]["port"]
    return {"group": "", "kind": "Service", "name": service_name(canary, side), "port": port}


def _hand_out(backend: Object, cookie: Cookie | None) -> None:
    if cookie is not None:
        backend["filters"] = [_response_headers({"add": _headers({"Set-Cookie": cookie.header})})]


def _rule(
    kind: Kind,
    canary: Object,
    match: list[Object],
    refs: list[Object],
    *,
    taken_back: Cookie | None = None,
    split: Split | None = None,
) -> Object:
    rule: Object = {}
    mapped = [each for each in map(_MATCHES[kind], match) if each]
    if mapped or kind == HTTP_ROUTE:
        rule["matches"] = mapped or [_EVERYTHING]
    filters = list(_filters(kind, canary, taken_back))
    if split is not None and split.mirroring:
        filters.append(_mirror(canary))
    if filters:
        rule["filters"] = filters
    if kind == HTTP_ROUTE and (timeouts := _timeouts(canary)):
        rule["timeouts"] = timeouts
    return {**rule, "backendRefs": refs}


def _timeouts(canary: Object) -> Object:
    shape = canary["spec"]["service"]
    fields = (("request", "timeout"), ("backendRequest", "backendTimeout"))
    return {name: shape[field] for name, field in fields if shape.get(field)}


def _mirror(canary: Object) -> Object:
    mirror: Object = {"backendRef": _service(canary, Side.CANARY)}
    if percent := canary["spec"]["analysis"].get("mirrorWeight"):
        mirror["percent"] = percent
    return {"type": "RequestMirror", "requestMirror": mirror}


def _filters(kind: Kind, canary: Object, taken_back: Cookie | None) -> Iterator[Object]:
    shape = canary["spec"]["service"]
    headers = shape.get("headers") or {}
    if request := _changes(headers.get("request")):
        yield {"type": "RequestHeaderModifier", "requestHeaderModifier": request}
    response = _changes(headers.get("response"))
    if taken_back is not None:
        added = {"add": _headers({"Set-Cookie": taken_back.header})}
        response = {**response, "add": [*(response.get("add") or ()), *added["add"]]}
    if response:
        yield _response_headers(response)
    if kind == HTTP_ROUTE:
        if rewrite := _rewrite(shape.get("rewrite") or {}):
            yield {"type": "URLRewrite", "urlRewrite": rewrite}
        if cors := _cors(shape.get("corsPolicy") or {}):
            yield {"type": "CORS", "cors": cors}
    for mirror in shape.get("mirror") or ():
        yield {"type": "RequestMirror", "requestMirror": mirror}


def _response_headers(changes: Object) -> Object:
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": changes}


def _changes(operations: Object | None) -> Object:
    given = operations or {}
    found: Object = {k: _headers(given[k]) for k in ("set", "add") if given.get(k)}
    if removed := given.get("remove"):
        found["remove"] = list(removed)
    return found


def _headers(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": values[name]} for name in sorted(values)]


def _rewrite(rewrite: Object) -> Object:
    found: Object = {}
    if authority := rewrite.get("authority"):
        found["hostname"] = authority
    if uri := rewrite.get("uri"):
        whole = rewrite.get("type") == "ReplaceFullPath"
        field = "replaceFullPath" if whole else "replacePrefixMatch"
        found["path"] = {
            "type": "ReplaceFullPath" if whole else "ReplacePrefixMatch",
            field: uri,
        }
    return found


_CORS = (
    ("allowMethods", "allowMethods"),
    ("allowHeaders", "allowHeaders"),
    ("exposeHeaders", "exposeHeaders"),
    ("allowCredentials", "allowCredentials"),
)


def _cors(policy: Object) -> Object:
    origins = [*(policy.get("allowOrigin") or ())]
    origins += [each["exact"] for each in policy.get("allowOrigins") or () if each.get("exact")]
    found: Object = {"allowOrigins": origins} if origins else {}
    if age := policy.get("maxAge"):
        # Whole seconds, at least one.
        found["maxAge"] = max(1, int(parse_go_duration(age).total_seconds()))
    return found | {name: policy[field] for name, field in _CORS if policy.get(field)}


def _http_match(match: Object) -> Object:
    found: Object = {}
    if path := _path(match.get("uri") or {}):
        found["path"] = path
    if method := (match.get("method") or {}).get("exact"):
        found["method"] = method
    for field in ("headers", "queryParams"):
        if texts := match.get(field):
            found[field] = _texts(texts)
    return found


def _path(uri: Object) -> Object:
    for type_, field in (
        ("RegularExpression", "regex"),
        ("Exact", "exact"),
        ("PathPrefix", "prefix"),
    ):
        if value := uri.get(field):
            return {"type": type_, "value": value}
    return {}


def _texts(texts: Mapping[str, Object]) -> list[Object]:
    return [{"name": name, **_text(texts[name])} for name in sorted(texts)]


def _text(match: Object) -> Object:
    if "exact" in match:
        return {"type": "Exact", "value": match["exact"]}
    if "prefix" in match:
        return {"type": "RegularExpression", "value": f"{re.escape(match['prefix'])}.*"}
    return {"type": "RegularExpression", "value": match.get("regex") or ".*"}


def _grpc_match(match: Object) -> Object:
    found: Object = {}
    uri = match.get("uri") or {}
    service, _, method = (uri.get("exact") or uri.get("prefix") or "").strip("/").partition("/")
    if service:
        found["method"] = {"type": "Exact", "service": service}
        if method:
            found["method"]["method"] = method
    if texts := match.get("headers"):
        found["headers"] = _texts(texts)
    return found


_MATCHES = {HTTP_ROUTE: _http_match, GRPC_ROUTE: _grpc_match}
