"""`make demo`: a canary promoted through a real mesh, then a bad one rolled back, told as it happens."""

from __future__ import annotations

import sys
import threading
import time

from e2e.kubectl import Watch
from e2e.lab import APPLICATION, CLUSTER, NAMESPACE, Lab

QPS = 50
PATIENCE = 180


def main() -> int:
    started = time.monotonic()
    lab = Lab.prepare()
    say("deploying the application (podinfo 6.9.0) and the Canary of e2e/demo/canary.yaml")
    lab.deploy()
    show("kubectl get canary catalog-release -n istioinaction -w")
    ended = Ending()
    with lab.kubectl.watch(
        "canary", "catalog-release", "-n", NAMESPACE, on_line=ended.see
    ) as watch:
        ended.wait(watch, "Initialized")
        lab.answers()
        with lab.load(qps=QPS, limit_seconds=2 * PATIENCE) as good:
            say(f"{QPS} requests a second to {APPLICATION}; releasing podinfo 6.9.1")
            lab.release("6.9.1")
            ended.wait(watch, "Succeeded", "Failed")
        promoted = lab.image_of("catalog-primary").endswith(":6.9.1")
        say(f"{good.requests} requests during the promotion, {good.failed} failed")
        with lab.load(qps=QPS, limit_seconds=2 * PATIENCE) as bad:
            say("releasing podinfo 6.9.2, which fails every third request")
            lab.release_bad()
            ended.wait(watch, "Failed", "Succeeded", after="Progressing")
        kept = lab.image_of("catalog-primary").endswith(":6.9.1")
        say(f"{bad.requests} requests during the bad release, {bad.failed} failed, {bad.lost} lost")
    if not (promoted and kept):
        say(
            "this is not what should have happened; `kubectl describe canary catalog-release` says more"
        )
        return 1
    say(f"one release promoted, one rolled back, in {time.monotonic() - started:.0f} s")
    print(
        f"\nThe cluster is still running. To go on:\n"
        f"  export KUBECONFIG={CLUSTER / 'kubeconfig'} PATH={lab.kubectl.binary.parent}:$PATH\n"
        f"  kubectl get canary -n {NAMESPACE} -w\n"
        f"  kubectl describe canary catalog-release -n {NAMESPACE}\n"
        f"  curl {APPLICATION}\n"
        f"`make clean` removes everything."
    )
    return 0


class Ending:
    """Prints the watch's lines as they come, and waits for a status to appear among them."""

    def __init__(self) -> None:
        self._news = threading.Condition()

    def see(self, line: str) -> None:
        print(f"    {line}", flush=True)
        with self._news:
            self._news.notify_all()

    def wait(self, watch: Watch, *statuses: str, after: str | None = None) -> None:
        """Until the newest status is one of `statuses` (and `after` was seen since the call)."""
        begin = len(watch.lines) if after else 0
        deadline = time.monotonic() + PATIENCE

        def reached() -> bool:
            seen = [row.split()[1] for row in watch.lines[begin:] if not row.startswith("NAME")]
            return bool(seen) and seen[-1] in statuses and (after is None or after in seen)

        with self._news:
            while not reached():
                if not self._news.wait(deadline - time.monotonic()):
                    sys.exit(
                        f"the canary did not become {' or '.join(statuses)} within {PATIENCE} s; "
                        f"KUBECONFIG={CLUSTER / 'kubeconfig'} kubectl describe canary -n {NAMESPACE} says why"
                    )


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def show(command: str) -> None:
    print(f"  $ {command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
