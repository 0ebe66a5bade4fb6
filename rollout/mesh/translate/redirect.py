"""Answers that a proxy gives itself: redirects and direct responses."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc

from rollout.mesh.model.routing import DirectResponse, Redirect
from rollout.mesh.translate.rewrite import substitution

_CODES = {
    301: rc.RedirectAction.MOVED_PERMANENTLY,
    302: rc.RedirectAction.FOUND,
    303: rc.RedirectAction.SEE_OTHER,
    307: rc.RedirectAction.TEMPORARY_REDIRECT,
    308: rc.RedirectAction.PERMANENT_REDIRECT,
}
_OWN_PORTS = frozenset({80, 443})
"""Those of the schemes, which URLs leave out."""


def redirect_action(redirect: Redirect, port: int) -> Any:
    """Envoy's redirect of what came by a port; a code that Envoy has no name for is a permanent one."""
    action = rc.RedirectAction(response_code=_CODES.get(redirect.code, _CODES[301]))
    if redirect.scheme:
        action.scheme_redirect = redirect.scheme
    if redirect.authority:
        action.host_redirect = redirect.authority
    if redirect.port is not None:
        action.port_redirect = redirect.port
    elif redirect.same_port and port not in _OWN_PORTS:
        action.port_redirect = port
    if redirect.uri.startswith("%PREFIX()%"):
        action.prefix_rewrite = redirect.uri.removeprefix("%PREFIX()%")
    elif redirect.pattern:
        action.regex_rewrite.CopyFrom(substitution(*redirect.pattern))
    elif redirect.uri:
        action.path_redirect = redirect.uri
    return action


def direct_response(response: DirectResponse) -> Any:
    """Envoy's direct response."""
    action = rc.DirectResponseAction(status=response.status)
    if response.body:
        action.body.CopyFrom(base_pb2.DataSource(inline_bytes=response.body))
    return action
