"""The kinds of value that fields of several kinds share: durations, ports, percentages, URLs, header maps, references.

Each says in its error what is wrong with the value and how to write it; its JSON schema says as much to the API server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from rollout.api.durations import (
    GO_DURATION_PATTERN,
    PROMETHEUS_DURATION_PATTERN,
    Duration,
    parse_prometheus_duration,
)
from rollout.api.model import Int, Number, Str, refusal

_WRITE_IT = "write it like 500ms, 30s, 1m or 1m30s"


def matches(pattern: str, message: str, most: int) -> dict[str, Any]:
    """JSON schema of a text that the API server checks by CEL, whose message is one that people understand."""
    quoted = pattern.replace("\\", "\\\\")
    return {
        "type": "string",
        "maxLength": most,
        "x-kubernetes-validations": [{"rule": f"self.matches('{quoted}')", "message": message}],
    }


def _duration(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise refusal("must be a duration", _WRITE_IT)
    try:
        return Duration.parse(value)
    except ValueError as error:
        raise refusal(str(error), _WRITE_IT) from None


def _at_least_a_millisecond(value: Duration) -> Duration:
    if value < timedelta(milliseconds=1):
        raise refusal(f"{value.text!r} is shorter than 1ms", _WRITE_IT)
    return value


def _zero_or_more(value: Duration) -> Duration:
    if value and value < timedelta(milliseconds=1):
        raise refusal(f"{value.text!r} is neither 0s nor at least 1ms", _WRITE_IT)
    return value


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise refusal(f"{value} is not a port", "give a number from 1 to 65535")
    return value


def _percent(value: int) -> int:
    if not 0 <= value <= 100:
        raise refusal(f"{value} is not a percentage", "give a number from 0 to 100")
    return value


def _percent_fraction(value: float) -> float:
    if not 0 <= value <= 100:
        raise refusal(f"{value} is not a percentage", "give a number from 0 to 100")
    return value


def _not_negative(value: int) -> int:
    if value < 0:
        raise refusal(f"{value} is negative", "give 0 or more")
    return value


def _not_empty(value: str) -> str:
    if not value:
        raise refusal("is empty", "give it a value")
    return value


def _int_or_string(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refusal("must be a port's number or its name", "write 9898 or http")
    return _port(value) if isinstance(value, int) else _not_empty(value)


def _prometheus_range(value: str) -> str:
    try:
        parse_prometheus_duration(value)
    except ValueError as error:
        raise refusal(str(error), "write it like 30s, 1m or 1h30m") from None
    return value


_GO_DURATION_SCHEMA = matches(
    GO_DURATION_PATTERN, "is not a duration: write it like 30s, 1m or 1m30s", 64
)
_AsText = PlainSerializer(lambda value: value.text, return_type=str)

AnyDuration = Annotated[
    Duration, PlainValidator(_duration), _AsText, WithJsonSchema(_GO_DURATION_SCHEMA)
]
PositiveDuration = Annotated[AnyDuration, AfterValidator(_at_least_a_millisecond)]
Timeout = Annotated[AnyDuration, AfterValidator(_zero_or_more)]
PrometheusRange = Annotated[
    Str,
    AfterValidator(_prometheus_range),
    WithJsonSchema(
        matches(PROMETHEUS_DURATION_PATTERN, "is not a range: write it like 30s, 1m or 1h30m", 64)
    ),
]

Port = Annotated[
    Int, AfterValidator(_port), Field(json_schema_extra={"minimum": 1, "maximum": 65535})
]
Percent = Annotated[
    Int, AfterValidator(_percent), Field(json_schema_extra={"minimum": 0, "maximum": 100})
]
PercentFraction = Annotated[Number, AfterValidator(_percent_fraction)]
Count = Annotated[Int, AfterValidator(_not_negative), Field(json_schema_extra={"minimum": 0})]
Name = Annotated[Str, AfterValidator(_not_empty), Field(json_schema_extra={"minLength": 1})]
IntOrString = Annotated[
    int | str,
    BeforeValidator(_int_or_string),
    WithJsonSchema({"x-kubernetes-int-or-string": True}),
]


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in value):
        raise refusal(f"{value!r} is not a URL", "write it like http://host:port/path")
    return value


HttpUrl = Annotated[
    Str,
    AfterValidator(_http_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 2048,
            "x-kubernetes-validations": [
                {
                    "rule": "self.startsWith('http://') || self.startsWith('https://')",
                    "message": "is not a URL: write it like http://host:port/path",
                }
            ],
        }
    ),
]
"""An http or https URL with a host."""
