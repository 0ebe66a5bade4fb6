"""ReferenceGrant: who may refer to objects of another namespace."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from rollout.api import kinds
from rollout.api.model import Model, Resource, Str


class ReferenceGrantFrom(Model):
    """Whose references are allowed."""

    group: Str = ""
    """The API group of the referring objects."""
    kind: Str
    """Their kind."""
    namespace: Str
    """Their namespace."""


class ReferenceGrantTo(Model):
    """What may be referred to."""

    group: Str = ""
    """The API group; empty for the core group."""
    kind: Str
    """The kind."""
    name: Str | None = None
    """One object of it; all of the grant's namespace by default."""


class ReferenceGrantSpec(Model):
    """Everybody of `from` may refer to everything of `to`."""

    from_: tuple[ReferenceGrantFrom, ...] = Field(default=(), alias="from")
    """Whose references are allowed."""
    to: tuple[ReferenceGrantTo, ...] = ()
    """What may be referred to, in the grant's namespace."""


class ReferenceGrant(Resource):
    """Allows references into its namespace."""

    KIND = kinds.REFERENCE_GRANT
    SERVED_VERSIONS: ClassVar = ("v1beta1", "v1")
    REFUSES_UNKNOWN = False

    spec: ReferenceGrantSpec
    """What the user wants."""
