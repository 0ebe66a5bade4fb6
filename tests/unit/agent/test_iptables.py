from __future__ import annotations

import pytest

from rollout.mesh.agent.iptables import Exclusions, RulesError, from_environment, rules

PLAIN = """\
*nat
:ISTIO_REDIRECT - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
"""


def test_a_pod_without_exclusions() -> None:
    assert rules(Exclusions()) == PLAIN


def test_exclusions_come_before_the_redirects() -> None:
    text = rules(
        Exclusions(
            inbound_ports=(9000,),
            outbound_ports=(5432,),
            outbound_ranges=("10.9.0.0/16", "fd00::/8"),
        )
    )
    lines = text.splitlines()
    inbound = lines.index("-A ISTIO_INBOUND -p tcp --dport 9000 -j RETURN")
    assert inbound < lines.index("-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT")
    for excluded in ("-p tcp --dport 5432", "-d 10.9.0.0/16"):
        position = lines.index(f"-A ISTIO_OUTPUT {excluded} -j RETURN")
        assert position < lines.index("-A ISTIO_OUTPUT -j ISTIO_REDIRECT")
    assert "fd00::/8" not in text


def test_ipv6_has_its_own_addresses() -> None:
    text = rules(Exclusions(outbound_ranges=("10.9.0.0/16", "fd00::/8")), family=6)
    assert "127.0.0" not in text
    assert "10.9" not in text
    assert "-A ISTIO_OUTPUT -d fd00::/8 -j RETURN" in text


def test_jumps_that_are_there_are_not_made_twice() -> None:
    existing = (
        "*nat\n-A PREROUTING -p tcp -j ISTIO_INBOUND\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\nCOMMIT\n"
    )
    text = rules(Exclusions(), existing=existing)
    assert "-A PREROUTING" not in text
    assert "-A OUTPUT" not in text


@pytest.mark.parametrize(
    ("ips", "families"), [("10.0.0.7", (4,)), ("10.0.0.7,fd00::7", (4, 6)), ("", (4,))]
)
def test_ipv6_only_where_the_pod_has_it(ips: str, families: tuple[int, ...]) -> None:
    assert from_environment({"INSTANCE_IPS": ips}).families == families


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCLUDE_INBOUND_PORTS", "80,http"),
        ("EXCLUDE_OUTBOUND_PORTS", "70000"),
        ("EXCLUDE_OUTBOUND_IP_RANGES", "10.0.0.1/8"),
    ],
)
def test_an_annotation_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(RulesError, match=name):
        from_environment({name: value})


def test_only_what_is_included_is_intercepted() -> None:
    text = rules(
        from_environment({
            "INCLUDE_INBOUND_PORTS": "80,90", "INCLUDE_OUTBOUND_IP_RANGES": "10.0.0.0/8,fd00::/8",
            "INCLUDE_OUTBOUND_PORTS": "5432",
        })
    )  # fmt: skip
    lines = text.splitlines()
    assert [line for line in lines if "ISTIO_INBOUND" in line and "IN_REDIRECT" in line] == [
        "-A ISTIO_INBOUND -p tcp --dport 80 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_INBOUND -p tcp --dport 90 -j ISTIO_IN_REDIRECT",
    ]
    assert [line for line in lines if line.endswith("-j ISTIO_REDIRECT")] == [
        "-A ISTIO_OUTPUT -p tcp --dport 5432 -j ISTIO_REDIRECT",
        "-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT",
    ]


def test_nothing_is_included_where_a_list_is_empty() -> None:
    text = rules(from_environment({"INCLUDE_INBOUND_PORTS": "", "INCLUDE_OUTBOUND_IP_RANGES": ""}))
    inwards = [line for line in text.splitlines() if line.startswith("-A ISTIO_INBOUND")]
    assert all(line.endswith("-j RETURN") for line in inwards)
    assert "-j ISTIO_REDIRECT" not in text
