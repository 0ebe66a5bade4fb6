"""A running ChaosExperiment to the fault that the mesh carries out. Knows nothing of who vouches for it."""

from __future__ import annotations

from rollout.api.chaos import GRPC_STATUSES, ChaosExperiment, RequestMatch, Target
from rollout.api.chaos import Fault as Asked
from rollout.api.istio.match import HTTPMatchRequest
from rollout.mesh.ingest.matches import Fault as Wrong
from rollout.mesh.ingest.matches import match_of
from rollout.mesh.model import routing as ir
from rollout.mesh.model.fault import Bandwidth, Callers, Layer, LeasedFault, Reset
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.service import service_host

_ARMS = ("primary", "canary", "baseline")


def leased_fault(experiment: ChaosExperiment) -> LeasedFault | Problem | None:
    """Its fault, while one may be in force; None where there is none, or a problem that the API lets pass.

    A run is of one generation of its spec: what was written meanwhile is nothing that anybody has looked at.
    """
    spec, status = experiment.spec, experiment.status
    fault = spec.fault
    if fault is None or not fault.leased or spec.dry_run or not status.phase.is_faulted:
        return None
    if not status.run_id or status.expires_at is None:
        return None
    if status.run_generation not in {0, experiment.metadata.generation}:
        return None
    ref = Ref("ChaosExperiment", experiment.namespace, experiment.name)
    matches = [_match(each, experiment.namespace) for each in fault.match]
    for index, each in enumerate(matches):
        if isinstance(each, Wrong):
            field = f"spec.fault.match[{index}]{each.field}"
            return Problem(ref, field, each.reason, each.remedy)
    return LeasedFault(
        ref=ref,
        run=experiment.vouched_as,
        begun=status.started_at.isoformat() if status.started_at else "",
        expires=status.expires_at,
        hosts=_hosts(spec.target, experiment.target_namespace),
        layer=Layer(fault.layer),
        callers=_callers(spec.target),
        matches=tuple(each for each in matches if isinstance(each, ir.Match)),
        delay=_delay(fault),
        abort=_abort(fault),
        reset=Reset(fault.reset.percentage.value) if fault.reset is not None else None,
        bandwidth=_bandwidth(fault),
        certificates=fault.certificate_outage,
    )


def _hosts(target: Target, namespace: str) -> frozenset[str]:
    """Where a Canary is behind the service, its requests go to the services of the arms."""
    names = list(target.services)
    if target.arm == "all":
        names += [f"{target.service}-{arm}" for arm in _ARMS]
    return frozenset(service_host(namespace, name) for name in names)


def _callers(target: Target) -> Callers:
    if target.from_ is None:
        return Callers()
    return Callers(
        labels=frozenset(target.from_.label_selectors.items()),
        namespaces=frozenset(target.from_.namespaces),
    )


def _match(given: RequestMatch, namespace: str) -> ir.Match | Wrong:
    request = HTTPMatchRequest(headers=given.headers, uri=given.uri, method=given.method)
    return match_of(request, namespace)


def _delay(fault: Asked) -> ir.Delay | None:
    if fault.delay is None:
        return None
    return ir.Delay(fault.delay.fixed_delay.total_seconds(), fault.delay.percentage.value)


def _abort(fault: Asked) -> ir.Abort | None:
    if fault.abort is None:
        return None
    percent = fault.abort.percentage.value
    if fault.abort.grpc_status is not None:
        return ir.Abort(percent, grpc=GRPC_STATUSES.index(fault.abort.grpc_status) + 1)
    return ir.Abort(percent, http=fault.abort.http_status or 0)


def _bandwidth(fault: Asked) -> Bandwidth | None:
    if fault.bandwidth is None:
        return None
    return Bandwidth(fault.bandwidth.limit_kbps, fault.bandwidth.percentage.value)
