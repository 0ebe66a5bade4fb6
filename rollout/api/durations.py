"""Durations as users write them: Go's (`1m30s`), which Flagger and Istio take, and Prometheus' (`1m`, `1d`).

Pure text to timedelta; knows nothing of where a duration stands or what it limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

_GO_UNITS = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "µs": Decimal(1),
    "μs": Decimal(1),
    "ms": Decimal(1_000),
    "s": Decimal(1_000_000),
    "m": Decimal(60_000_000),
    "h": Decimal(3_600_000_000),
}
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_GO_WHOLE = re.compile(rf"[-+]?(?:{_GO_PART.pattern})+", re.ASCII)
_LONGEST = timedelta(seconds=9_223_372_036)

_PROMETHEUS = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_PROMETHEUS_SECONDS = (31_536_000, 604_800, 86_400, 3_600, 60, 1, 0.001)

GO_DURATION_PATTERN = r"^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$"
PROMETHEUS_DURATION_PATTERN = (
    r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
)


class Duration(timedelta):
    """A length that remembers how it was written, so that what is passed on reads as the user wrote it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Duration:
        """From Go's syntax; ValueError where Go refuses."""
        length = parse_go_duration(text)
        duration = cls(days=length.days, seconds=length.seconds, microseconds=length.microseconds)
        duration.text = text
        return duration

    def __reduce__(self) -> tuple[Callable[[str], Duration], tuple[str]]:
        return Duration.parse, (self.text,)


def parse_go_duration(text: str) -> timedelta:
    """The length that Go's `time.ParseDuration` reads, to the microsecond; ValueError where Go refuses.

    Go's limit of about 292 years applies.
    """
    unsigned = text.lstrip("+-") if text[:1] in {"+", "-"} else text
    if unsigned == "0" and len(text) <= 2:
        return timedelta(0)
    if len(text) > 64 or not _GO_WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    micros = sum(Decimal(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))
    if micros > _LONGEST / timedelta(microseconds=1):
        raise ValueError(f"{text!r} is longer than a duration can be (about 292 years)")
    length = timedelta(microseconds=int(micros))
    return -length if text.startswith("-") else length


def format_go_duration(length: timedelta) -> str:
    """The text that Go prints for a duration, e.g. `1m30s`, `500ms`, `0s`."""
    micros = abs(length) // timedelta(microseconds=1)
    sign = "-" if length < timedelta(0) else ""
    if micros == 0:
        return "0s"
    if micros < 1_000:
        return f"{sign}{micros}µs"
    if micros < 1_000_000:
        return f"{sign}{_decimal(micros, 1_000)}ms"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, 1_000_000)}s"


def parse_prometheus_duration(text: str) -> timedelta:
    """The length of a PromQL range such as `1m` or `1h30m`; ValueError where Prometheus refuses, and for zero."""
    match = _PROMETHEUS.fullmatch(text) if text and len(text) <= 64 else None
    if match is None:
        raise ValueError(f"{text!r} is not a Prometheus duration")
    seconds = sum(
        int(number) * unit
        for number, unit in zip(match.groups(), _PROMETHEUS_SECONDS, strict=True)
        if number
    )
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is not between 1ms and 292 years")
    return timedelta(seconds=seconds)


def _decimal(number: int, unit: int) -> str:
    whole, fraction = divmod(number, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
