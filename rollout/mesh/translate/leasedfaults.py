"""Faults with a life of their own: filters that stand empty in every connection manager, and what is put into them.

A slot is found by its name over ADS (ECDS), so that a fault comes and goes without a change to any listener or route.
What it gets has a time to live, which the proxy enforces: unless it is sent again it gives way to the slot's default,
a fault filter that does nothing. The default is in force from the start: nothing waits for what may never come.

One slot holds one fault with all its conditions, as a CEL expression: if conditions that are alternatives were filters
of their own, a request that meets two would be faulted twice. Requests that don't meet it skip the filter, and so do
those for which it cannot be evaluated. Breaking requests off takes several filters: a chain that those run through that do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, assert_never

from envoy.config.core.v3 import config_source_pb2, extension_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.composite.v3 import composite_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3 import cel_pb2, http_inputs_pb2, matcher_pb2
from xds.type.v3 import cel_pb2 as expression_pb2

from rollout.mesh.model.fault import INBOUND_SLOTS, OUTBOUND_SLOTS, Layer, LeasedFault
from rollout.mesh.model.proxy import Proxy, ProxyType
from rollout.mesh.model.routing import Abort, Fault, Match, MatchKind, StringMatch
from rollout.mesh.translate import cel, names, resets
from rollout.mesh.translate.callers import PEER_METADATA
from rollout.mesh.translate.faults import fault_policy
from rollout.mesh.translate.faults import share as fraction
from rollout.mesh.translate.resource import Resource, pack, wrap
from rollout.mesh.translate.sources import ADS

TTL = 3
"""Seconds that a fault outlives the last time that it was vouched for."""
INBOUND = tuple(names.fault_slot("inbound", index) for index in range(INBOUND_SLOTS))
OUTBOUND = tuple(names.fault_slot("outbound", index) for index in range(OUTBOUND_SLOTS))

_Lists = matcher_pb2.Matcher.MatcherList
_TYPE = "type.googleapis.com/"
_CLUSTER = cel.attribute("xds.cluster_name")
_HEADERS = cel.attribute("request.headers")
_PEER = cel.entry(cel.attribute("metadata.filter_metadata"), PEER_METADATA)
_PEER_FIELD = {
    "app": "app",
    "version": "version",
    "service.istio.io/canonical-name": "canonical",
    "service.istio.io/canonical-revision": "revision",
}
"""Labels of a caller that a destination's proxy is told, and under which name."""


def empty_slot(name: str) -> Any:
    """The filter as it stands in a connection manager."""
    kinds = (fault_pb2.HTTPFault, extension_matcher_pb2.ExtensionWithMatcher)
    found = config_source_pb2.ExtensionConfigSource(
        config_source=ADS,
        default_config=pack(fault_pb2.HTTPFault()),
        apply_default_config_without_warming=True,
        type_urls=[_TYPE + kind.DESCRIPTOR.full_name for kind in kinds],
    )
    return hcm.HttpFilter(name=name, config_discovery=found)


def filled_slots(
    faults: Iterable[LeasedFault], proxy: Proxy, held: Mapping[str, str]
) -> tuple[list[tuple[LeasedFault, Resource]], list[LeasedFault]]:
    """What a proxy's slots get, and the faults for which it has none left.

    A run keeps the slot that it has (`held`, slots by run): one that ends must not make others move, which would leave
    its fault in force until they are renewed. The oldest come first to those that are free.
    """
    made: list[tuple[LeasedFault, Resource]] = []
    left: list[LeasedFault] = []
    free = [slot for slot in (*INBOUND, *OUTBOUND) if slot not in held.values()]
    ordered = sorted(faults, key=lambda each: (each.run not in held, each.age))
    for fault, targets in ((each, _targets(each, proxy)) for each in ordered):
        if not targets:
            continue
        slots = OUTBOUND if fault.layer is Layer.CLIENT else INBOUND
        slot = held.get(fault.run) or next((each for each in free if each in slots), None)
        if slot is None:
            left.append(fault)
            continue
        free = [each for each in free if each != slot]
        made.append((fault, _resource(slot, fault, targets)))
    return made, left


def _targets(fault: LeasedFault, proxy: Proxy) -> frozenset[str]:
    """The hosts that a caller's requests are for, or the clusters of a service's own ports; none if it has no part in it."""
    if fault.layer is Layer.CLIENT:
        return fault.hosts if _is_caller(proxy, fault) else frozenset()
    return _own_clusters(proxy, fault)


def _is_caller(proxy: Proxy, fault: LeasedFault) -> bool:
    callers = fault.callers
    near = not callers.namespaces or proxy.namespace in callers.namespaces
    return near and callers.labels <= proxy.labels


def _own_clusters(proxy: Proxy, fault: LeasedFault) -> frozenset[str]:
    """The ports of a sidecar's application that the fault is about, by their clusters."""
    if proxy.type is ProxyType.ROUTER:
        return frozenset()
    return frozenset(
        names.inbound(port.port)
        for port in proxy.inbound
        if port.service in fault.hosts and port.protocol.routed
    )


@lru_cache(maxsize=256)
def _resource(name: str, fault: LeasedFault, targets: frozenset[str]) -> Resource:
    """`targets` are the inbound clusters, or the hosts to which the outbound clusters lead."""
    policy = extension_pb2.TypedExtensionConfig(name=fault.run, typed_config=pack(_policy(fault)))
    condition = _condition(fault, targets)
    if fault.reset is None:
        config = extension_matcher_pb2.ExtensionWithMatcher(
            xds_matcher=_skip_unless(condition), extension_config=policy
        )
    else:
        chosen = extension_pb2.TypedExtensionConfig(
            name=fault.run, typed_config=pack(composite_pb2.Composite())
        )
        config = extension_matcher_pb2.ExtensionWithMatcher(
            xds_matcher=_run_where(condition, *resets.reset_filters(), policy),
            extension_config=chosen,
        )
    message = extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(config))
    return wrap(names.EXTENSION, name, message, ttl=TTL)


def _policy(fault: LeasedFault) -> Any:
    abort = fault.abort
    if fault.reset is not None:
        abort = Abort(fault.reset.percent, http=resets.STATUS)
    policy = fault_policy(Fault(delay=fault.delay, abort=abort))
    if fault.bandwidth is not None:
        policy.response_rate_limit.fixed_limit.limit_kbps = fault.bandwidth.kibps
        policy.response_rate_limit.percentage.CopyFrom(fraction(fault.bandwidth.percent))
    return policy


def _condition(fault: LeasedFault, targets: frozenset[str]) -> Any:
    if fault.layer is Layer.CLIENT:
        # An outbound cluster's name ends with its host, whatever the port and the subset.
        conditions = [cel.any_of(cel.ends(_CLUSTER, f"|{host}") for host in sorted(targets))]
    else:
        conditions = [cel.one_of(_CLUSTER, targets), *_caller(fault)]
    if fault.matches:
        conditions.append(cel.any_of(_request(match) for match in fault.matches))
    return cel.all_of(conditions)


def _caller(fault: LeasedFault) -> Iterable[Any]:
    """What a destination's proxy can tell of who calls it; one outside the mesh says nothing, and is spared."""
    callers = fault.callers
    if callers.namespaces:
        yield cel.one_of(cel.entry(_PEER, "namespace"), callers.namespaces)
    for label, value in sorted(callers.labels):
        yield cel.equal(cel.entry(_PEER, _PEER_FIELD[label]), value)


def _request(match: Match) -> Any:
    found = []
    if match.uri is not None:
        found.append(_compared(cel.attribute("request.url_path"), match.uri))
    if match.method is not None:
        found.append(_compared(cel.attribute("request.method"), match.method))
    for name, value in match.headers:
        found.append(cel.has(_HEADERS, name.lower()))
        if value.kind is not MatchKind.PRESENT:
            found.append(_compared(cel.entry(_HEADERS, name.lower()), value))
    return cel.all_of(found)


def _compared(value: Any, match: StringMatch) -> Any:
    match match.kind:
        case MatchKind.EXACT:
            return cel.equal(value, match.value)
        case MatchKind.PREFIX | MatchKind.PATH_PREFIX:
            return cel.starts(value, match.value)
        case MatchKind.REGEX:
            return cel.matches(value, match.value)
        case MatchKind.PRESENT:
            return cel.starts(value, "")
        case _ as never:
            assert_never(never)


def _skip_unless(condition: Any) -> Any:
    """Skips where it is not true, an error included: `not` of an expression without an answer is true."""
    unless = _Lists.Predicate(not_matcher=_meets(condition))
    return _only_rule(unless, "skip", skip_action_pb2.SkipFilter())


def _run_where(condition: Any, *filters: Any) -> Any:
    """Runs these filters where it is true."""
    chain = composite_pb2.FilterChainConfiguration(typed_config=filters)
    action = composite_pb2.ExecuteFilterAction(filter_chain=chain)
    return _only_rule(_meets(condition), "run", action)


def _meets(condition: Any) -> Any:
    input_ = http_inputs_pb2.HttpAttributesCelMatchInput()
    expression = expression_pb2.CelExpression(cel_expr_parsed=cel.parsed(condition))
    matcher = cel_pb2.CelMatcher(expr_match=expression)
    single = _Lists.Predicate.SinglePredicate(
        input=xds_extension_pb2.TypedExtensionConfig(name="request", typed_config=pack(input_)),
        custom_match=xds_extension_pb2.TypedExtensionConfig(name="cel", typed_config=pack(matcher)),
    )
    return _Lists.Predicate(single_predicate=single)


def _only_rule(predicate: Any, name: str, action: Any) -> Any:
    named = xds_extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(action))
    on_match = matcher_pb2.Matcher.OnMatch(action=named)
    rule = _Lists.FieldMatcher(predicate=predicate, on_match=on_match)
    return matcher_pb2.Matcher(matcher_list=_Lists(matchers=[rule]))
