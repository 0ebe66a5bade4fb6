"""`python -m e2e.conformance`: the suite on the cluster, a table and one line of JSON; 1 when a core test fails."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from e2e.cluster import cluster
from e2e.cluster.layout import Layout
from e2e.cluster.progress import ClusterError
from e2e.conformance import images, suite
from e2e.conformance.report import Catalogue, Result, page, report, summary, table
from e2e.kubectl import Kubectl, until
from e2e.lab import CLUSTER, Lab, step

VALUES = Path(__file__).parent / "values.yaml"
CHANNEL = Path("config") / "crd" / "standard"


def main() -> int:
    options = _parser().parse_args()
    catalogue = suite.catalogue()
    known = {case.name for case in catalogue.tests}
    if options.test and options.test not in known:
        names = ", ".join(sorted(known))
        print(f"the suite has no test {options.test!r}; it has {names}", file=sys.stderr)
        return 2
    kubectl = Lab.attach().kubectl if options.as_it_is else prepare()
    how = suite.Options(
        kubeconfig=kubectl.kubeconfig,
        log=CLUSTER / "conformance.log",
        test=options.test,
        keep=options.keep,
    )
    how.log.write_text("")
    passes = suite.passes(gateway_features(kubectl))
    if options.test:
        return one(passes, catalogue, how)
    began = time.monotonic()
    results = {
        profile: outcome
        for each in passes
        for outcome in [suite.run(each, how)]
        for profile in each.profiles
    }
    found = report(
        catalogue,
        results,
        {feature for each in passes for feature in each.features},
        version=images.sources().name.partition("@")[2],
        seconds=round(time.monotonic() - began),
    )
    print(table(found))
    if options.write:
        options.write.write_text(page(found))
    if found.failed_core:
        print(f"core tests failed; {how.log} has what was seen", file=sys.stderr)
    print(summary(found))
    return 1 if found.failed_core else 0


def one(passes: tuple[suite.Pass, ...], catalogue: Catalogue, how: suite.Options) -> int:
    """One test alone, in the first pass that has it; all that the suite says goes to the terminal."""
    (case,) = (case for case in catalogue.tests if case.name == how.test)
    which = next((each for each in passes if each.has(case, catalogue)), None)
    if which is None:
        needed = ", ".join(sorted(case.features))
        print(f"{case.name} needs {needed}, and not all of it is claimed", file=sys.stderr)
        return 2
    return 0 if suite.run(which, how).get(case.name) is Result.PASSED else 1


def prepare() -> Kubectl:
    """The cluster with the CRDs of the suite's version, its images, and rollout of this checkout."""
    step(sys.executable, "-m", "e2e.cluster", "up")
    kubectl = Lab.attach().kubectl
    kubectl.run(
        "apply", "--server-side", "--force-conflicts", "-f", str(images.sources() / CHANNEL)
    )
    cluster.load_all(Layout(directory=CLUSTER), images.archives())
    return Lab.prepare("--values", str(VALUES)).kubectl


def gateway_features(kubectl: Kubectl) -> list[str]:
    """What the GatewayClass's status says that gateways can do, once it is accepted."""
    kind = f"gatewayclass/{suite.GATEWAY_CLASS}"
    until(
        f"{kind} to be there",
        lambda: bool(kubectl.run("get", kind, "--ignore-not-found", "-o", "name")),
        timeout=60,
    )
    kubectl.wait("--for=condition=Accepted", kind, timeout=60)
    status = kubectl.json("get", kind)["status"]
    return [feature["name"] for feature in status.get("supportedFeatures", [])]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.conformance", description=__doc__)
    parser.add_argument("--test", default="", help="one test alone, by its name")
    parser.add_argument("--keep", action="store_true", help="leave the suite's namespaces")
    parser.add_argument(
        "--as-it-is", action="store_true", help="neither build nor install; the cluster is prepared"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="where the results are written")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(1)
