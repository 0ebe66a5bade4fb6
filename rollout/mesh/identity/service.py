"""`istio.v1.auth.IstioCertificateService`: certificates for those who prove who they are.

Knows neither how tokens are reviewed nor where the authority's key comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import structlog

from rollout.mesh.identity import certified
from rollout.mesh.identity.authority import (
    Authority,
    Lifetimes,
    RefusedError,
    chain_of,
    sign,
)
from rollout.mesh.identity.caller import Caller, UnansweredError, UnauthenticatedError
from rollout.mesh.identity.tokens import Reviewer
from rollout.mesh.identity.wire import METHOD, SERVICE, read_request, write_response
from rollout.mesh.metrics import Metrics

log = structlog.get_logger(__name__)


class CertificateService:
    """Signs what an authority's owner asks for; `now` is the clock.

    `withheld` says on whose behalf a caller gets nothing now; empty where it does.
    """

    def __init__(
        self,
        reviewer: Reviewer,
        authority: Callable[[], Authority],
        metrics: Metrics,
        *,
        lifetimes: Lifetimes | None = None,
        withheld: Callable[[Caller], str] = lambda _caller: "",
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._reviewer, self._authority, self._metrics = reviewer, authority, metrics
        self._lifetimes, self._withheld = lifetimes or Lifetimes(), withheld
        self._now = now or (lambda: datetime.now(UTC))

    def handler(self) -> Any:
        """What a gRPC server is given."""
        method: Any = grpc.unary_unary_rpc_method_handler(self._create)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def _create(self, data: bytes, context: Any) -> bytes:
        self._metrics.csrs.inc()
        try:
            caller = await self._reviewer.authenticate(metadata_of(context))
            csr, seconds = read_request(data)
            if by := self._withheld(caller):
                self._metrics.certificates_withheld.labels(by).inc()
                raise UnansweredError(f"withheld by ChaosExperiment {by}")
            lifetime = self._lifetimes.of(seconds)
            authority = self._authority()
            signed = sign(authority, csr, caller.identity.uri, lifetime, self._now())
        except UnauthenticatedError as error:
            await self._refuse(context, grpc.StatusCode.UNAUTHENTICATED, error)
        except UnansweredError as error:
            await self._refuse(context, grpc.StatusCode.UNAVAILABLE, error)
        except RefusedError as error:
            await self._refuse(context, grpc.StatusCode.PERMISSION_DENIED, error)
        except (ValueError, OverflowError) as error:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        else:
            self._metrics.certificates.inc()
            log.info("certificate issued", identity=caller.identity.uri, pod=caller.pod)
            return write_response(chain_of(authority, signed))
        raise AssertionError("an aborted call goes on")

    async def authenticate(self, context: Any) -> Caller:
        """Who makes a call of another service of this port; aborts it where nobody known does."""
        try:
            return await self._reviewer.authenticate(metadata_of(context))
        except UnauthenticatedError as error:
            await turn_away(context, error)
        except UnansweredError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        raise AssertionError("an aborted call goes on")

    async def recognize(self, context: Any) -> Caller:
        """The same by the certificate that a connection was made with."""
        try:
            return certified.caller(context.auth_context(), self._now())
        except UnauthenticatedError as error:
            await turn_away(context, error)
        raise AssertionError("an aborted call goes on")

    async def _refuse(self, context: Any, code: grpc.StatusCode, error: Exception) -> None:
        self._metrics.csr_refusals.labels(code.name).inc()
        log.warning("certificate refused", peer=context.peer(), reason=str(error))
        await context.abort(code, str(error))


async def turn_away(context: Any, error: UnauthenticatedError) -> None:
    """Ends a call of nobody."""
    log.warning("proxy refused", peer=context.peer(), reason=str(error))
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))


def metadata_of(context: Any) -> dict[str, str]:
    """A call's metadata; binary values left out."""
    pairs = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}
