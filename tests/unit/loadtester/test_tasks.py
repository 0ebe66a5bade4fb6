"""What may be run, and as which words."""

from __future__ import annotations

import pytest

from rollout.loadtester.tasks import RefusedError, parse_allowed, task_of

ALLOWED = {"fortio": "/usr/local/bin/fortio", "helm": "/usr/bin/helm"}


@pytest.mark.parametrize(
    ("metadata", "arguments", "waits"),
    [
        (
            {"cmd": "fortio load -c 2 -qps 10 'http://podinfo-canary.test:9898/a b'"},
            ("load", "-c", "2", "-qps", "10", "http://podinfo-canary.test:9898/a b"),
            False,
        ),
        ({"type": "cmd", "cmd": "/usr/local/bin/fortio version"}, ("version",), False),
        ({"type": "bash", "cmd": "fortio curl http://x"}, ("curl", "http://x"), True),
    ],
)
def test_words(metadata: dict[str, str], arguments: tuple[str, ...], *, waits: bool) -> None:
    task = task_of("podinfo.test", metadata, ALLOWED)
    assert task.arguments == ("/usr/local/bin/fortio", *arguments)
    assert task.waits is waits


def test_helm_needs_no_name() -> None:
    task = task_of("podinfo.test", {"type": "helm", "cmd": "test podinfo"}, ALLOWED)
    assert task.arguments == ("/usr/bin/helm", "test", "podinfo")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"cmd": "hey -z 1m http://x"}, "'hey' is not allowed (allowed: fortio, helm)"),
        ({"cmd": "../fortio"}, "is not allowed"),
        ({"cmd": "/bin/fortio"}, "is not allowed"),
        ({"type": "bash", "cmd": "bash -c id"}, "'bash' is not allowed"),
        ({"type": "kubectl", "cmd": "get pods"}, "'kubectl' is not allowed"),
        ({"cmd": "fortio load http://x | grep 200"}, "no shell reads it"),
        ({"cmd": "fortio load 'http://x"}, "No closing quotation"),
        ({"cmd": " "}, "cmd not found in metadata"),
        ({"type": "cmd"}, "cmd not found in metadata"),
        ({"type": "concord", "cmd": "x"}, "unknown task type concord"),
    ],
)
def test_refusals(metadata: dict[str, str], words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        task_of("podinfo.test", metadata, ALLOWED)
    assert words in str(refused.value)


def test_what_is_allowed() -> None:
    assert parse_allowed(("a=/b", "c=/d=e")) == {"a": "/b", "c": "/d=e"}
    for wrong in ("a", "a=b", "=/b", "a/b=/c"):
        with pytest.raises(ValueError, match="not of the form"):
            parse_allowed((wrong,))
