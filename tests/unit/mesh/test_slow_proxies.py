"""What is kept of a proxy that takes nothing: bounded by the mesh as it is, whatever comes and goes meanwhile."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds import watching
from rollout.mesh.xds.protocol import Stream
from rollout.mesh.xds.wire import Encoder, Request

KIND = names.CLUSTER


def test_what_came_and_went_while_it_was_slow_is_forgotten() -> None:
    resources: dict[str, Resource] = {"first": resource(KIND, "first", b"1")}
    stream = Stream({KIND: resources}, Encoder().encode)
    stream.receive(Request(type_url=KIND))
    (unanswered,) = stream.poll()
    for number in range(3 * watching.MOST_STALE):
        stream.changed({KIND: [f"passing {number}"]})
    assert len(stream._types[KIND].stale) <= watching.MOST_STALE
    del resources["first"]
    resources["last"] = resource(KIND, "last", b"1")
    stream.changed({KIND: ["first", "last"]})
    stream.receive(Request(type_url=KIND, nonce=unanswered.nonce))
    sent = [(r.resources, r.removed) for r in stream.poll()]
    assert sent == [((resources["last"],), ())]


def test_remembered_responses_have_an_end_in_bytes() -> None:
    encoder = Encoder()
    body = b"x" * (8 << 20)
    for number in range(12):
        each = resource(KIND, str(number), body, version=str(number))
        encoder.encode(KIND, (each,), ())
    assert sum(len(each.body) for each in encoder._known.values()) <= 40 << 20


def test_acknowledgements_are_read_once_and_not_kept_for_ever() -> None:
    encoder = Encoder()

    def read(nonce: str, error: str = "") -> Request:
        message = discovery_pb2.DeltaDiscoveryRequest(type_url=KIND, response_nonce=nonce)
        if error:
            message.error_detail.message = error
        return encoder.read(message.SerializeToString())[0]

    assert read("n") is read("n")
    assert read("n", "bad").error == "bad"
    assert read("n") == Request(type_url=KIND, nonce="n")
    for number in range(1_000):
        assert read(str(number)).nonce == str(number)
    assert len(encoder._answers) <= 64
