"""`fortio` probes: a figure of the load that the experiment itself made. Knows nothing of how it was made."""

from __future__ import annotations

from rollout.api.chaos import ProbeSpec
from rollout.chaos.loadresult import LoadResult
from rollout.chaos.probes.reading import Figure, Reading
from rollout.judge.checks import NoData


async def read_figure(load: LoadResult | None, spec: ProbeSpec) -> Reading:
    """The figure, once the load has ended."""
    if load is None:
        return NoData("the load has given no result")
    value = load.figure(str(spec.field))
    if value is None:
        return NoData(f"the load sent nothing ({load.sentence()})")
    return Figure(value, load.failures() if spec.field == "errorRatio" else "")
