"""What the API server can refuse, as types that a caller can name in an `except`.

Knows HTTP's codes and Kubernetes' `Status`; not who asked, nor what to do about it.
"""

# ruff: noqa: N818 - the errors carry the API server's own words for the reasons
from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class KubeError(Exception):
    """A request that did not succeed.

    `status` is the HTTP code, 0 where no answer came; `reason` is Kubernetes' machine-readable word (`NotFound`);
    `causes` are the fields at fault, as `field: message`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.causes = tuple(causes)


class NotFound(KubeError):
    """404: no such object, or no such kind on this server."""


class AlreadyExists(KubeError):
    """409 on create: the name is taken."""


class Conflict(KubeError):
    """409 on update or delete: the object is no longer as the caller saw it; look again."""


class Invalid(KubeError):
    """400 or 422: the object, or the patch, is not acceptable; `causes` name the fields."""


class Forbidden(KubeError):
    """401 or 403: the credentials do not suffice, or an admission plugin refuses."""


class Gone(KubeError):
    """410: the resource version, or the page, is no longer held; list again."""


class Unavailable(KubeError):
    """No answer (refused, reset, timed out), 429 or 5xx: the same request may succeed later."""


def error_from_status(status: int, body: Any, request: str) -> KubeError:
    """The typed error for an answer: its HTTP code, its decoded body (a `Status`, or anything), and what was asked."""
    body = body if isinstance(body, dict) else {}
    reason = str(body.get("reason") or "")
    details = body.get("details") if isinstance(body.get("details"), dict) else {}
    causes = tuple(
        f"{cause.get('field') or '?'}: {cause.get('message') or cause.get('reason') or ''}"
        for cause in details.get("causes") or ()
    )
    return _type_of(status, reason)(
        f"{request}: {status} {body.get('message') or reason or 'no reason given'}",
        status=status,
        reason=reason,
        causes=causes,
    )


def _type_of(status: int, reason: str) -> type[KubeError]:
    if status == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if status == 429 or status >= 500:
        return Unavailable
    return {
        400: Invalid,
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        410: Gone,
        422: Invalid,
    }.get(status, KubeError)
