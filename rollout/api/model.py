"""What every kind that users write shares: frozen models, camelCase names, and refusals that carry a path and a remedy.

Reading is in two passes over the same object: names that no model knows (`unknown.py`), then types and meaning
(pydantic and each model's `problems`). Knows no particular kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    Strict,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from rollout.api.errors import FieldError, InvalidObject
from rollout.api.kinds import Kind
from rollout.api.unknown import unknown_fields


class Problem(NamedTuple):
    """Something wrong inside one model; `path` is relative to it, with the names that users write."""

    path: str
    reason: str
    remedy: str = ""


def refusal(reason: str, remedy: str = "") -> PydanticCustomError:
    """The error that a field's validator raises, with what to do about it."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason, "remedy": remedy})


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: object) -> object:
    if isinstance(value, bool):
        raise refusal(
            f"is the boolean {str(value).lower()}, not a string",
            "quote it: YAML reads an unquoted yes, no, on, off, true or false as a boolean",
        )
    if isinstance(value, int | float):
        raise refusal(f"is the number {value}, not a string", f'quote it: "{value}"')
    return value


Int = Annotated[int, Strict(), BeforeValidator(_whole)]
Number = Annotated[float, Strict()]
Bool = StrictBool
Str = Annotated[str, BeforeValidator(_text)]
StrMap = Mapping[str, Str]


class Model(BaseModel):
    """Part of a kind: frozen; snake_case here, camelCase in the API. What it does not know is kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    def problems(self) -> Iterator[Problem]:
        """What is wrong although every type is right; overridden where fields depend on one another."""
        return iter(())

    @model_validator(mode="after")
    def _no_problems(self) -> Self:
        found = tuple(self.problems())
        if found:
            raise PydanticCustomError("problems", "invalid", {"problems": found})
        return self

    def dump(self) -> dict[str, Any]:
        """The JSON object as users would write it: camelCase, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Metadata(BaseModel):
    """The object metadata that this program reads; everything else stays with the raw object."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class Resource(Model):
    """A whole object. Subclasses name their `KIND` and add `spec`, and `status` where there is one."""

    KIND: ClassVar[Kind]
    SERVED_VERSIONS: ClassVar[tuple[str, ...]] = ()
    REFUSES_UNKNOWN: ClassVar[bool] = True

    api_version: Str
    kind: Str
    metadata: Metadata

    _unknown: tuple[FieldError, ...] = PrivateAttr(default=())

    @property
    def unknown_fields(self) -> tuple[FieldError, ...]:
        """Fields of the spec that this program does not know and so does not act upon; kept as they are."""
        return self._unknown

    @property
    def namespace(self) -> str:
        """The namespace it is in."""
        return self.metadata.namespace

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Read an object as the API serves it; InvalidObject with every problem at once.

        Null means unset, as Go reads it. The API version may be any that is served for the kind.
        """
        data = without_nulls(obj)
        unknown = unknown_fields(cls, data)
        errors = list(unknown) if cls.REFUSES_UNKNOWN else []
        errors += _identity_errors(cls, data)
        try:
            parsed = cls.model_validate(data)
        except ValidationError as error:
            errors += field_errors(error)
        else:
            if not errors:
                parsed._unknown = tuple(unknown)  # noqa: SLF001 - its own class
                return parsed
        metadata = data.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        raise InvalidObject(
            cls.KIND.kind,
            str(metadata.get("namespace", "")),
            str(metadata.get("name", "")),
            tuple(dict.fromkeys(errors)),
        )


def _identity_errors(cls: type[Resource], data: Mapping[str, Any]) -> Iterator[FieldError]:
    served = [f"{cls.KIND.group}/{v}" for v in (cls.SERVED_VERSIONS or (cls.KIND.version,))]
    if (version := data.get("apiVersion")) not in served:
        yield FieldError("apiVersion", f"{version!r} is not served", f"use {served[0]}")
    if (kind := data.get("kind")) != cls.KIND.kind:
        yield FieldError("kind", f"is {kind!r}, not {cls.KIND.kind}", f"use {cls.KIND.kind}")


T = TypeVar("T")


def without_nulls(value: T) -> T:
    """The same value without map entries that are null, at any depth; lists keep theirs, so that indices stay."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return [without_nulls(v) for v in value]  # type: ignore[return-value]
    return value


def dotted(location: Sequence[str | int]) -> str:
    """`spec.analysis.metrics[0].name` from its parts; keys that are not plain names are bracketed and quoted."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            path += f".{part}" if path else part
        else:
            path += f'["{part}"]'
    return path


_TYPE_REASONS = {
    "missing": ("is required", "add it"),
    "string_type": ("must be a string", "quote it"),
    "int_type": ("must be a whole number", "write it without quotes or a fraction"),
    "float_type": ("must be a number", "write it without quotes"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "list_type": ("must be a list", 'write its items below it, each after "- "'),
    "tuple_type": ("must be a list", 'write its items below it, each after "- "'),
    "dict_type": ("must be a map", "write its keys below it, indented"),
    "mapping_type": ("must be a map", "write its keys below it, indented"),
    "model_type": ("must be a map", "write its fields below it, indented"),
    "finite_number": ("must be a finite number", "give a number"),
}


def field_errors(error: ValidationError) -> Iterator[FieldError]:
    """Pydantic's errors as ours: where, why, and what to do."""
    for item in error.errors(include_url=False, include_input=False):
        path, kind, context = dotted(item["loc"]), item["type"], item.get("ctx", {})
        match kind:
            case "problems":
                for inner, reason, remedy in context["problems"]:
                    joined = path + inner if inner.startswith("[") else f"{path}.{inner}"
                    yield FieldError(joined.strip("."), reason, remedy)
            case "refused":
                yield FieldError(path, context["reason"], context["remedy"])
            case "literal_error":
                yield FieldError(path, "is not a known value", f"use {context['expected']}")
            case _ if kind in _TYPE_REASONS:
                yield FieldError(path, *_TYPE_REASONS[kind])
            case _:
                message = item["msg"].removeprefix("Input ")
                yield FieldError(path, message[:1].lower() + message[1:])
