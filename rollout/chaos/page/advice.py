"""What to do next after a run, by what it broke and how it ended. Pure; words for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.api.chaos import REQUEST_FAULTS, ReportSpec, Verdict

_FAILED: Final = {
    "delay": "Callers waited for a slow dependency. Give them a time-out below their own caller's patience"
    " (VirtualService `timeout`), and something to answer without it.",
    "abort": "Callers were handed the dependency's errors. Retry what may be retried (VirtualService `retries`,"
    " few attempts), take failing endpoints out (DestinationRule `outlierDetection`), or answer without them.",
    "reset": "Callers lost requests with their connections. Retry what may be sent twice (VirtualService `retries`, with"
    " `retryOn: reset`), and take endpoints out that keep doing it (DestinationRule `outlierDetection`).",
    "bandwidth": "Callers waited for large answers. Send less, page it, or give up sooner (`timeout`).",
    "certificateOutage": "Certificates ended before they could be renewed. Let them hold longer than the authority may be"
    " away: they are renewed at half their life, so half of it is the time that an outage may take.",
    "podKill": "Requests were lost with their pods. Run more than one replica, answer SIGTERM by finishing what was"
    " begun, be ready only when it is true, and let a PodDisruptionBudget keep some.",
}


def advice(report: ReportSpec) -> tuple[str, ...]:
    """A few sentences, the first of which matters most."""
    return tuple(_advice(report))


def _advice(report: ReportSpec) -> Iterator[str]:
    fault = report.spec.get("fault") or {}
    in_mesh = any(name in fault for name in REQUEST_FAULTS)
    if in_mesh and report.injected_at and not report.blast.requests_faulted:
        yield (
            "No faulted request was seen, so this run proves little: see that the target's pods have a sidecar,"
            " that requests reached it while it ran, and that fault.match and target.from fit them."
        )
    match report.verdict:
        case Verdict.PASS:
            yield (
                "The hypothesis held. Ask more of it: a larger share, a longer time, a second dependency; then give"
                " it a schedule, so that it stays true."
            )
        case Verdict.FAIL if report.steady_states.before is False:
            yield (
                "Nothing was broken: the steady state was not met before. Mend that, or correct the probe, first."
            )
        case Verdict.FAIL:
            yield from (text for name, text in _FAILED.items() if name in fault)
            yield "Then run the same experiment again: its verdict is the test of the repair."
        case Verdict.STOPPED:
            yield "It was stopped, so it says nothing yet. Run it again when what stopped it is over."
        case _:
            yield (
                "The run could not be judged, for the reason above. Nothing of its fault is left; mend the reason and"
                " run it again."
            )
