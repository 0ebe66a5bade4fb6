"""Callers that stay with the version that answered them first (`spec.analysis.sessionAffinity`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from rollout.api.model import Bool, Int, Model, Problem, Str, refusal

_COOKIE_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


def _cookie_name(value: str) -> str:
    if not _COOKIE_NAME.fullmatch(value):
        raise refusal(f"{value!r} is not a cookie's name", "use letters, digits, - and _")
    return value


CookieName = Annotated[Str, AfterValidator(_cookie_name)]


class SessionAffinity(Model):
    """Callers that were answered by the canary stay with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.primaryCookieName) || self.primaryCookieName != self.cookieName",
                    "message": "primaryCookieName equals cookieName: give them different names",
                }
            ]
        }
    )

    cookie_name: CookieName
    """The canary's cookie."""
    primary_cookie_name: CookieName | None = None
    """The primary's cookie; where set, callers of the primary stay with it, too."""
    domain: Str | None = None
    """The cookies' domain."""
    http_only: Bool = False
    """Whether scripts cannot read the cookies."""
    max_age: Int = Field(default=86400, json_schema_extra={"minimum": 1})
    """The cookies' life in seconds."""
    partitioned: Bool = False
    """Whether the cookies are kept per top-level site."""
    path: Str | None = None
    """The cookies' path."""
    same_site: Literal["Strict", "Lax", "None"] | None = None
    """Whether the cookies are sent across sites."""
    secure: Bool = False
    """Whether the cookies are sent over HTTPS only."""

    def problems(self) -> Iterator[Problem]:
        """Cookies that cannot be told apart, or that no browser keeps."""
        if self.primary_cookie_name == self.cookie_name:
            yield Problem("primaryCookieName", "equals cookieName", "give it another name")
        if self.max_age < 1:
            yield Problem("maxAge", f"{self.max_age} ends the session at once", "give seconds")
