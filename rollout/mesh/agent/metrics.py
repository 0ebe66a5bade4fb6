"""Envoy's Prometheus page as Istio's users know it: `istio_requests_total` under its own name, then the application's.

Pure. Envoy writes the stats access logger's series as `envoy_<scope>_istio_…`; the scope is the control plane's affair.
"""

from __future__ import annotations

import re

_SCOPED = re.compile(r"^(# (?:TYPE|HELP) )?envoy_(?:[A-Za-z0-9_]*?_)?(istio_[A-Za-z0-9_]*)(.*)$")

# What is not there Envoy writes as a dash or not at all; of flags a dash says that there are none.
_NOTHING = re.compile(r'(?<!response_flags)="-?"')


def build(version: str) -> str:
    """Which version of the proxy this is, as Istio says it."""
    return f'# TYPE istio_build gauge\nistio_build{{component="proxy",tag="{version}"}} 1\n'


def rewrite(page: str) -> str:
    """Give the mesh's series their own names, each family once and in one piece; the rest stays as it is."""
    families: dict[str, list[str]] = {}
    others: list[str] = []
    current = ""
    for line in page.splitlines():
        if "istio_" not in line:
            if line:
                others.append(line)
            continue
        scoped = _SCOPED.match(line)
        if not scoped:
            others.append(line)
            continue
        comment, name, rest = scoped.groups()
        if comment:
            current = name
            if name not in families:
                families[name] = [f"{comment}{name}{rest}"]
        else:
            named = _NOTHING.sub('="unknown"', rest)
            families.setdefault(current, []).append(name + named)
    lines = [line for name in sorted(families) for line in families[name]]
    return "\n".join([*lines, *others, ""])


def join(proxy: str, application: str) -> str:
    """The proxy's page and the application's as one; families of the application that Envoy has as well are kept."""
    if application and not application.endswith("\n"):
        application += "\n"
    return proxy + application
