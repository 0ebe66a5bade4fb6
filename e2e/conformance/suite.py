"""Runs the suite's program and reads what it prints.

It runs on the machine, which reaches the cluster's Services, once for the gateways' profiles and once for the mesh's:
only the latter's pods are given sidecars. All that it prints is kept in a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from e2e.cluster.build import build
from e2e.conformance.report import Case, Catalogue, Result

GATEWAY_CLASS = "rollout"
# What a mesh can do is on no object's status in the standard channel, so it is said here.
MESH_FEATURES = frozenset(
    {
        "MeshConsumerRoute",
        "MeshHTTPRouteBackendRequestHeaderModification",
        "MeshHTTPRouteNamedRouteRule",
        "MeshHTTPRouteQueryParamMatching",
        "MeshHTTPRouteRedirectPath",
        "MeshHTTPRouteRedirectPort",
        "MeshHTTPRouteRewritePath",
        "MeshHTTPRouteSchemeRedirect",
        "HTTPRouteParentRefPort",
        "HTTPRouteResponseHeaderModification",
    }
)

# As `go test -v` prints the end of a test right below the suite's.
_END = re.compile(r"^    --- (PASS|FAIL|SKIP): TestConformance/(\w+) \(")
_RESULTS = {"PASS": Result.PASSED, "FAIL": Result.FAILED, "SKIP": Result.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run of the program: the profiles that share their namespaces, and the features claimed for them."""

    profiles: Sequence[str]
    features: frozenset[str]
    namespace_labels: str = ""

    def has(self, case: Case, catalogue: Catalogue) -> bool:
        """Whether the test is one of these profiles, as far as the features that are claimed go."""
        core = frozenset[str]().union(*(catalogue.profiles[name].core for name in self.profiles))
        return case.features <= core | self.features


def passes(gateway_features: Iterable[str]) -> tuple[Pass, Pass]:
    """Of the features that the GatewayClass says it has."""
    return (
        Pass(profiles=("GATEWAY-HTTP", "GATEWAY-GRPC"), features=frozenset(gateway_features)),
        Pass(
            profiles=("MESH-HTTP", "MESH-GRPC"),
            features=MESH_FEATURES,
            namespace_labels="istio-injection=enabled",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the program is run on a cluster: one test alone or all, and whether its namespaces stay."""

    kubeconfig: Path
    log: Path
    test: str = ""
    keep: bool = False


def catalogue() -> Catalogue:
    """What tests the suite has, from its own program."""
    done = subprocess.run(
        [str(build("conformance")), "-test.run=^TestCatalogue$"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Catalogue.parse(next(line for line in done.stdout.splitlines() if line[:1] == "{"))


def run(which: Pass, options: Options) -> dict[str, Result]:
    """The results by test; what failed is told as it is seen."""
    command = [
        str(build("conformance")),
        "-test.v",
        "-test.run=^TestConformance$",
        f"-gateway-class={GATEWAY_CLASS}",
        f"-conformance-profiles={','.join(which.profiles)}",
        f"-supported-features={','.join(sorted(which.features))}",
        f"-namespace-labels={which.namespace_labels}",
        f"-run-test={options.test}",
        f"-cleanup-base-resources={str(not options.keep).lower()}",
    ]
    with (
        options.log.open("a") as log,
        subprocess.Popen(
            command,
            env={**os.environ, "KUBECONFIG": str(options.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout
        return dict(results(_told(process.stdout, log, verbose=bool(options.test))))


def results(lines: Iterable[str]) -> Iterator[tuple[str, Result]]:
    """The end of each test, from what the program prints."""
    for line in lines:
        if found := _END.match(line):
            yield found[2], _RESULTS[found[1]]


def _told(lines: Iterable[str], log: TextIO, *, verbose: bool) -> Iterator[str]:
    """The same lines, kept in the file; ends of tests go to the terminal, and with `verbose` all."""
    for line in lines:
        log.write(line)
        ended = _END.match(line)
        if ended is None if verbose else ended and ended[1] != "SKIP":
            print(line.rstrip(), file=sys.stderr, flush=True)
        yield line
