"""Whole states that are refused: what the next one has, by Envoy's words and by its ways."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds.protocol import Rejection, Stream
from rollout.mesh.xds.sotw import StateOfTheWorld

MEANING = "Error adding/updating cluster(s) {0}: cluster: LB policy is not valid, {1}: odd"
FORM = """goo.gle/debugproto   \t
name: "{0}"
type: EDS
metadata {{
  filter_metadata {{
    key: "name"
  }}
}}
: Proto constraint validation failed (ClusterValidationError.OutlierDetection: embedded message failed)"""


class Proxy:
    """A stream of whole states about clusters or listeners, by their versions."""

    def __init__(self, kind: str = names.CLUSTER, /, **found: str) -> None:
        self.kind = kind
        self.server: dict[str, dict[str, Resource]] = {kind: {}}
        self.codec = StateOfTheWorld()
        self.stream = Stream(self.server, self.codec.encode)
        self.put(**found)
        self.sent: dict[str, str] = {}
        self.nonce = ""
        self.say()

    def put(self, **found: str) -> None:
        for name, version in found.items():
            body = f"{name} {version}".encode()
            self.server[self.kind][name] = resource(self.kind, name, body, version)
        self.stream.changed({self.kind: set(found)})

    def take_away(self, name: str) -> None:
        del self.server[self.kind][name]
        self.stream.changed({self.kind: {name}})

    def say(self, error: str = "") -> list[Rejection]:
        """Answers what was sent last; what is sent then is in `sent`, empty where that is nothing."""
        request = discovery_pb2.DiscoveryRequest(type_url=self.kind, response_nonce=self.nonce)
        if error:
            request.error_detail.message = error
        found = self.stream.receive(self.codec.read(request.SerializeToString())[0])
        self.sent = {}
        self.poll()
        return found

    def poll(self) -> dict[str, str]:
        for each in self.stream.poll():
            message = discovery_pb2.DiscoveryResponse.FromString(each.body)
            self.nonce = message.nonce
            told = (packed.value.decode().split(" ") for packed in message.resources)
            self.sent = dict(told)
        return self.sent


def named(rejections: list[Rejection]) -> list[tuple[str, str]]:
    return [(each.name, each.version) for each in rejections]


def test_what_is_refused_is_sent_along_until_the_older_one_is_known_not_to_be_missed() -> None:
    proxy = Proxy(a="v1", b="bad1", c="v1")
    assert proxy.sent == {"a": "v1", "b": "bad1", "c": "v1"}
    assert named(proxy.say(MEANING.format("b", "nobody"))) == [("b", "bad1")]
    assert proxy.sent == {}, "the rest was taken"
    proxy.put(c="v2")
    assert proxy.poll() == {"a": "v1", "b": "bad1", "c": "v2"}
    assert proxy.say(MEANING.format("b", "nobody")) == [], "that is known"
    proxy.put(b="bad2")
    assert proxy.poll() == {"a": "v1", "b": "bad2", "c": "v2"}
    assert named(proxy.say(MEANING.format("b", "nobody"))) == [("b", "bad2")]
    proxy.put(b="v3")
    assert proxy.poll() == {"a": "v1", "b": "v3", "c": "v2"}
    assert proxy.say() == []
    assert proxy.stream.synced
    assert not proxy.stream.refuses(names.CLUSTER, "b")


def test_several_are_named_at_once() -> None:
    proxy = Proxy(a="bad1", b="bad1", c="v1")
    assert named(proxy.say(MEANING.format("a", "b"))) == [("a", "bad1"), ("b", "bad1")]
    proxy.take_away("a")
    proxy.put(d="v1")
    assert proxy.poll() == {"a": "bad1", "b": "bad1", "c": "v1", "d": "v1"}, (
        "what is gone goes last"
    )
    assert proxy.say(MEANING.format("a", "b")) == []
    assert proxy.sent == {"b": "bad1", "c": "v1", "d": "v1"}
    proxy.say(MEANING.format("b", "nobody"))
    assert proxy.stream.synced


def test_a_name_within_another_is_not_meant() -> None:
    proxy = Proxy(**{"b": "v1", "a.b": "bad1"})
    assert named(proxy.say(MEANING.format("a.b", "nobody"))) == [("a.b", "bad1")]


def test_who_takes_after_all_what_he_refused_is_believed() -> None:
    proxy = Proxy(a="v1", b="bad1")
    proxy.say(MEANING.format("b", "nobody"))
    assert proxy.stream.refuses(names.CLUSTER, "b")
    proxy.put(a="v2")
    proxy.poll()
    assert proxy.say() == []
    assert not proxy.stream.refuses(names.CLUSTER, "b")
    proxy.put(a="v3")
    assert proxy.poll() == {"a": "v3", "b": "bad1"}


def test_the_last_good_one_is_sent_along_where_it_is_known() -> None:
    proxy = Proxy(a="v1", b="v1")
    proxy.say()
    for error in (MEANING.format("b", "nobody"), FORM.format("b")):
        proxy.put(b=f"bad {len(error)}".replace(" ", ""))
        proxy.poll()
        assert [each.name for each in proxy.say(error)] == ["b"]
        if proxy.sent:
            assert proxy.sent["b"] == "v1"
            proxy.say()
        proxy.put(a=f"v{len(error)}")
        assert proxy.poll() == {"a": f"v{len(error)}", "b": "v1"}
        proxy.say()


def test_of_a_state_that_is_not_well_formed_nothing_was_taken() -> None:
    proxy = Proxy(a="v1", b="bad1", c="v1")
    assert named(proxy.say(FORM.format("b"))) == [("b", "bad1")]
    assert proxy.sent == {"a": "v1", "c": "v1"}
    proxy.say()
    proxy.take_away("c")
    proxy.put(a="v2", b="bad2")
    assert proxy.poll() == {"a": "v2", "b": "bad2", "c": "v1"}, "what is gone goes last"
    assert named(proxy.say(FORM.format("b"))) == [("b", "bad2")]
    assert proxy.sent == {"a": "v2", "c": "v1"}
    proxy.say()
    assert proxy.sent == {"a": "v2"}
    proxy.say()
    assert proxy.stream.synced


def test_what_is_gone_goes_even_where_all_that_is_left_is_refused() -> None:
    proxy = Proxy(a="bad1")
    assert named(proxy.say(FORM.format("a"))) == [("a", "bad1")]
    assert proxy.stream.outstanding == {names.CLUSTER}, "it may have others from before"
    assert proxy.sent == {}
    proxy.say()
    assert proxy.stream.synced


def test_what_was_taken_away_in_vain_is_taken_away_again() -> None:
    proxy = Proxy(names.LISTENER, a="v1", b="v1", c="v1")
    proxy.say()
    for error, fault in ((FORM.format("b"), ["b"]), ("no", [])):
        proxy.put(a="v1", b=f"bad{len(error)}", c="v1")
        proxy.poll()
        proxy.say()
        proxy.take_away("c")
        proxy.put(a="v2", b=f"badly{len(error)}")
        assert proxy.poll().keys() == {"a", "b"}
        assert [each.name for each in proxy.say(error)] == fault
        while proxy.sent:
            assert "c" not in proxy.sent
            proxy.say()
        assert proxy.stream.synced


def test_from_who_says_nothing_one_after_the_other_is_tried() -> None:
    proxy = Proxy(a="v1", b="v1")
    proxy.say()
    proxy.put(a="v2", b="bad2")
    assert proxy.poll() == {"a": "v2", "b": "bad2"}
    assert proxy.say("no") == []
    assert proxy.sent == {"a": "v2", "b": "v1"}
    proxy.say()
    assert proxy.sent == {"a": "v2", "b": "bad2"}
    assert named(proxy.say("no")) == [("b", "bad2")]
    assert proxy.sent == {}
