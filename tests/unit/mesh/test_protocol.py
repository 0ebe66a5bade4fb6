"""Leased resources: sent when somebody vouches for them, in full, and never otherwise; taken away by name."""

from __future__ import annotations

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds.protocol import Stream
from rollout.mesh.xds.wire import Encoder, Request

KIND = names.EXTENSION
SLOTS = ("slot 0", "slot 1")


class Proxy:
    """A stream on which both slots have been asked for, and everything that was sent has been taken."""

    def __init__(self, **known: str) -> None:
        self.resources: dict[str, Resource] = {}
        self.stream = Stream({KIND: self.resources}, Encoder().encode)
        versions = {name.replace("_", " "): version for name, version in known.items()}
        self.stream.receive(Request(type_url=KIND, subscribe=SLOTS, versions=versions))
        self.first = self.exchange()

    def put(self, name: str, body: bytes = b"fault") -> None:
        self.resources[name] = resource(KIND, name, body, ttl=3)
        self.stream.changed({KIND: [name]})

    def renew(self) -> None:
        for name in self.resources:
            self.stream.renew(KIND, name)

    def remove(self, name: str) -> None:
        del self.resources[name]
        self.stream.changed({KIND: [name]})

    def exchange(self, error: str | None = None) -> tuple[list[str], list[str]]:
        """The names of what is sent and taken away now."""
        sent: list[str] = []
        removed: list[str] = []
        for response in self.stream.poll():
            sent += [each.name for each in response.resources]
            removed += response.removed
            self.stream.receive(Request(type_url=KIND, nonce=response.nonce, error=error))
        return sent, removed


def test_slots_that_stay_empty_are_said_to_be() -> None:
    assert Proxy().first == ([], list(SLOTS))


def test_each_renewal_sends_the_same_again() -> None:
    proxy = Proxy()
    proxy.put("slot 0")
    assert proxy.exchange() == ([], [])
    for _ in range(3):
        proxy.renew()
        assert proxy.exchange() == (["slot 0"], [])
        assert proxy.exchange() == ([], [])


def test_a_renewal_that_was_held_up_is_not_sent_later() -> None:
    proxy = Proxy()
    proxy.put("slot 0")
    proxy.renew()
    proxy.stream.outdate()
    assert proxy.exchange() == ([], [])


def test_what_is_gone_is_taken_away_at_once() -> None:
    proxy = Proxy()
    proxy.put("slot 1")
    proxy.renew()
    proxy.exchange()
    proxy.remove("slot 1")
    assert proxy.exchange() == ([], ["slot 1"])


def test_nothing_is_waited_for_of_suspects_that_are_gone() -> None:
    proxy = Proxy()
    for name in SLOTS:
        proxy.put(name)
    proxy.renew()
    assert proxy.exchange(error="one of them is bad") == (list(SLOTS), [])
    for name in SLOTS:
        proxy.remove(name)
    assert proxy.exchange() == ([], list(SLOTS))
    assert proxy.stream.synced


def test_a_proxy_that_comes_back_is_sent_nothing_but_what_it_must_give_up() -> None:
    back = Proxy(slot_0="of a fault that nobody vouches for")
    assert back.first == ([], list(SLOTS))
    back.put("slot 0")
    assert back.exchange() == ([], [])


def test_one_that_is_refused_does_not_hold_up_another() -> None:
    proxy = Proxy()
    proxy.put("slot 0")
    proxy.put("slot 1")
    proxy.renew()
    assert proxy.exchange(error="one is bad") == (list(SLOTS), [])
    assert proxy.exchange() == ([], []), "not before they are vouched for again"
    proxy.renew()
    assert proxy.exchange(error="bad") == (["slot 0"], [])
    assert proxy.exchange() == (["slot 1"], [])
    proxy.renew()
    assert proxy.exchange() == (["slot 1"], [])


def test_what_was_taken_away_with_something_refused_is_taken_away_again() -> None:
    """Of a message that is not well-formed Envoy takes nothing."""
    listeners = {name: resource(names.LISTENER, name, b"v1") for name in "ab"}
    stream = Stream({names.LISTENER: listeners}, Encoder().encode)
    stream.receive(Request(type_url=names.LISTENER, subscribe=("*",)))
    [first] = stream.poll()
    stream.receive(Request(type_url=names.LISTENER, nonce=first.nonce))
    del listeners["b"]
    listeners["a"] = resource(names.LISTENER, "a", b"bad")
    stream.changed({names.LISTENER: ["a", "b"]})
    [second] = stream.poll()
    assert second.removed == ("b",)
    stream.receive(Request(type_url=names.LISTENER, nonce=second.nonce, error="no"))
    [third] = stream.poll()
    assert (third.resources, third.removed) == ((), ("b",))
    stream.receive(Request(type_url=names.LISTENER, nonce=third.nonce))
    assert stream.synced
