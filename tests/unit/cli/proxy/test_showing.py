"""What is shown of several control planes: all that they say, and which of them said nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.cli.errors import CommandFailed
from rollout.cli.proxy import reaching, showing

PLANES = [{"metadata": {"namespace": "system", "name": name}} for name in ("one", "two")]
SYNCED = {"type": "sidecar", "synced": True, "cds": "SYNCED"}
CLIENT: Any = None


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Each control plane has one proxy, `of-NAME.shop`; those put in here do not answer."""
    found: set[str] = set()

    async def control_planes(_client: Any, _namespace: str) -> Any:
        return PLANES

    async def debug(_client: Any, plane: Any, path: str, **_params: str) -> Any:
        name = plane["metadata"]["name"]
        if name in found:
            raise CommandFailed(f"pod system/{name}, port 8080: refused")
        if path == "/debug/config_dump":
            return {"cds": {name: "1"}}
        return [{**SYNCED, "proxy": f"of-{name}.shop"}]

    monkeypatch.setattr(reaching, "control_planes", control_planes)
    monkeypatch.setattr(reaching, "debug", debug)
    return found


async def test_all_control_planes_are_asked(
    silent: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    await showing.connected(CLIENT, "system", "json")
    assert {"of-one.shop", "of-two.shop"} <= set(capsys.readouterr().out.split('"'))
    assert await showing._wanted(CLIENT, "system", "shop", "of-two") == {"cds": {"two": "1"}}
    assert not silent


async def test_one_that_does_not_answer_is_named_after_what_the_others_say(
    silent: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    silent.add("one")
    with pytest.raises(CommandFailed, match=r"missing here.*one: pod system/one.*refused"):
        await showing.connected(CLIENT, "system", "json")
    assert "of-two.shop" in capsys.readouterr().out
    assert await showing._wanted(CLIENT, "system", "shop", "of-two") == {"cds": {"two": "1"}}
    with pytest.raises(CommandFailed, match=r"not connected.*as far as is known without one"):
        await showing._wanted(CLIENT, "system", "shop", "of-one")
