"""The protocol, in both variants, against a naive proxy: whatever happens in whatever order, it ends up with what it should have."""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds.protocol import Stream
from rollout.mesh.xds.sotw import StateOfTheWorld
from rollout.mesh.xds.wire import Codec, Encoder, Request, Response

SERVICES = st.sampled_from("abc")
SLOTS = ("slot 0", "slot 1")
BAD, MALFORMED = "bad", "badly"
VERSIONS = st.sampled_from(("v", BAD, MALFORMED))


def made(type_url: str, name: str, version: str) -> Resource:
    ttl = 3 if type_url in names.LEASED else 0
    return resource(type_url, name, f"{name} {version}".encode(), version, ttl=ttl)


class NaiveProxy:
    """Does what Envoy does: takes everything by type, asks for what its clusters and its listeners name."""

    def __init__(self) -> None:
        self.have: dict[str, dict[str, str]] = {kind: {} for kind in names.ORDER}
        self.asked: dict[str, set[str]] = {
            kind: set() for kind in (names.ENDPOINTS, names.ROUTES, names.EXTENSION)
        }
        self.warm: set[str] = set()
        self.opened = False

    def take(self, response: Response) -> list[Request]:
        kind, have = response.type_url, self.have[response.type_url]
        bad = [each for each in response.resources if each.version.startswith(BAD)]
        fresh = {each.name for each in response.resources} - set(have)
        if bad:
            error = "refused " + ", ".join(each.name for each in bad)
            return [Request(type_url=kind, nonce=response.nonce, error=error)]
        for each in response.resources:
            # A virtual host of routes that it does not have is nothing to it, nor is what it asks for no more.
            asked = each.name in self.asked.get(kind, (each.name,))
            if asked and (kind != names.VIRTUAL_HOST or each.name[:2] in self.have[names.ROUTES]):
                have[each.name] = each.version
        for name in response.removed:
            have.pop(name, None)
        requests = [Request(type_url=kind, nonce=response.nonce)]
        if kind == names.CLUSTER:
            # While a changed cluster warms, the one before goes on serving.
            self.warm &= set(have)
            requests += self._interest(names.ENDPOINTS, set(have))
        elif kind == names.ENDPOINTS:
            self.warm |= {each.name for each in response.resources} & set(self.have[names.CLUSTER])
        elif kind == names.LISTENER:
            requests += self._interest(names.ROUTES, set(have))
            requests += self._interest(names.EXTENSION, set(SLOTS) if have else set())
            self._forget_hosts(set(self.have[names.VIRTUAL_HOST]), of=set(have))
        elif kind == names.ROUTES:
            self._forget_hosts(
                {host for host in self.have[names.VIRTUAL_HOST] if host[:2] in fresh}, of=set()
            )
            requests += [] if self.opened else [Request(type_url=names.VIRTUAL_HOST)]
            self.opened = True
        return requests

    def _forget_hosts(self, hosts: set[str], of: set[str]) -> None:
        for host in hosts:
            if host[:2] not in of:
                del self.have[names.VIRTUAL_HOST][host]

    def _interest(self, kind: str, wanted: set[str]) -> list[Request]:
        new, gone = wanted - self.asked[kind], self.asked[kind] - wanted
        self.asked[kind] = wanted
        for name in gone:
            self.have[kind].pop(name, None)
        if not new and not gone:
            return []
        return [
            Request(type_url=kind, subscribe=tuple(sorted(new)), unsubscribe=tuple(sorted(gone)))
        ]

    def reconnect(self) -> list[Request]:
        found = []
        for kind in names.ORDER:
            subscribe = tuple(sorted(self.asked.get(kind, ())))
            if (kind in self.asked and not subscribe) or self._closed(kind):
                continue
            found.append(
                Request(type_url=kind, subscribe=subscribe, versions=dict(self.have[kind]))
            )
        return found

    def _closed(self, kind: str) -> bool:
        return kind == names.VIRTUAL_HOST and not self.opened


class WholeProxy(NaiveProxy):
    """The same in the variant where requests and responses are whole states, which it writes and reads itself."""

    def __init__(self) -> None:
        super().__init__()
        self.nonces: dict[str, str] = {}
        self.unknown = True
        """Whether it may still have clusters of which its control plane does not know."""
        self.codec = StateOfTheWorld()

    def request(self, kind: str, error: str | None = None) -> Request:
        message = discovery_pb2.DiscoveryRequest(
            type_url=kind,
            resource_names=sorted(self.asked.get(kind, ())),
            response_nonce=self.nonces.get(kind, ""),
        )
        if error is not None:
            message.error_detail.message = error
        return self.codec.read(message.SerializeToString())[0]

    def take(self, response: Response) -> list[Request]:
        kind, have = response.type_url, self.have[response.type_url]
        message = discovery_pb2.DiscoveryResponse.FromString(response.body)
        assert message.nonce == response.nonce
        if kind == names.CLUSTER:
            self.unknown = self.codec._types[kind].unknown
        self.nonces[kind] = message.nonce
        found = dict(_name_and_version(each) for each in message.resources)
        found = {name: found[name] for name in found if name in self.asked.get(kind, (name,))}
        bad = {name for name, version in found.items() if version.startswith(BAD)}
        whole = kind in {names.CLUSTER, names.LISTENER}
        error = _refusal(found, bad, whole=whole) if bad else None
        if error and not (whole and error.startswith("Error adding/updating")):
            return [self.request(kind, error)]
        # Of a whole state Envoy takes what it can, and keeps what it had of the rest.
        kept = {name: version for name, version in have.items() if name in bad or not whole}
        have.clear()
        have.update(kept | {name: found[name] for name in found.keys() - bad})
        requests = [self.request(kind, error)]
        if kind == names.CLUSTER:
            self.warm &= set(have)
            requests += self._interest(names.ENDPOINTS, set(have))
        elif kind == names.ENDPOINTS:
            self.warm |= set(found) & set(self.have[names.CLUSTER])
        elif kind == names.LISTENER:
            requests += self._interest(names.ROUTES, set(have))
            requests += self._interest(names.EXTENSION, set(SLOTS) if have else set())
        return requests

    def _interest(self, kind: str, wanted: set[str]) -> list[Request]:
        gone = self.asked[kind] - wanted
        if wanted == self.asked[kind]:
            return []
        self.asked[kind] = wanted
        for name in gone:
            self.have[kind].pop(name, None)
        return [self.request(kind)]

    def reconnect(self) -> list[Request]:
        self.codec = StateOfTheWorld()
        self.nonces.clear()
        kinds = (k for k in names.ORDER if k not in {names.SECRET, names.VIRTUAL_HOST})
        return [self.request(kind) for kind in kinds if self.asked.get(kind, True)]


def _refusal(found: dict[str, str], bad: set[str], *, whole: bool) -> str:
    """In Envoy's words."""
    if not whole:
        return "refused " + ", ".join(sorted(bad))
    malformed = [name for name in found if found[name].startswith(MALFORMED)]
    if malformed:
        text = f'goo.gle/debugproto  \nname: "{malformed[0]}"\ntype: EDS\n'
        return f"{text}: Proto constraint validation failed (ClusterValidationError)"
    return "Error adding/updating cluster(s) " + ", ".join(f"{name}: odd" for name in sorted(bad))


def _name_and_version(packed: Any) -> tuple[str, str]:
    if packed.type_url.endswith(".Resource"):
        packed = discovery_pb2.Resource.FromString(packed.value).resource
    name, _, version = packed.value.decode().rpartition(" ")
    return name, version


class Delta(RuleBasedStateMachine):
    """Services come, change and go; a listener and its routes lead to those that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.server: dict[str, dict[str, Resource]] = {kind: {} for kind in names.ORDER}
        self.proxy = self.made_proxy()
        self.counter = 0
        self.to_server: list[Request] = []
        self.to_proxy: list[Response] = []
        self.reported: set[tuple[str, str]] = set()
        self.spoilt: set[str] = set()
        self.promised: set[str] = set()

    def made_proxy(self) -> NaiveProxy:
        return NaiveProxy()

    def codec(self) -> Codec:
        return Encoder()

    @initialize()
    def connect(self) -> None:
        self.to_proxy.clear()
        self.promised.clear()
        self.to_server = self.proxy.reconnect()
        self.stream = Stream(self.server, self.codec().encode)

    def put(self, changed: dict[str, set[str]], kind: str, name: str, version: str | None) -> None:
        if version is None:
            self.server[kind].pop(name, None)
        else:
            self.server[kind][name] = made(kind, name, version)
        changed.setdefault(kind, set()).add(name)

    @rule(name=SERVICES, present=st.booleans(), how=VERSIONS)
    def change_service(self, name: str, present: bool, how: str) -> None:
        self.counter += 1
        changed: dict[str, set[str]] = {}
        self.spoilt |= {name} if how != "v" else set()
        version = f"{how}{self.counter}" if present else None
        self.put(changed, names.CLUSTER, name, version)
        self.put(changed, names.ENDPOINTS, name, f"v{self.counter}" if present else None)
        self.put(changed, names.LISTENER, "80", "v1")
        targets = ",".join(sorted(self.server[names.CLUSTER]))
        self.put(changed, names.ROUTES, "80", f"v:{targets}:{self.counter}")
        self.put(changed, names.VIRTUAL_HOST, "80/h", f"v:{targets}:{self.counter}")
        self.stream.changed(changed)

    @rule(present=st.booleans(), how=VERSIONS)
    def change_port(self, present: bool, how: str) -> None:
        """A listener with routes of its own, which never change, and a virtual host, which does."""
        self.counter += 1
        changed: dict[str, set[str]] = {}
        listener = "v" if how == "v" else f"{how}{self.counter}"
        for kind, name, version in ((names.LISTENER, "81", listener), (names.ROUTES, "81", "v")):
            self.put(changed, kind, name, version if present else None)
        self.put(changed, names.VIRTUAL_HOST, "81/h", f"v::{self.counter}" if present else None)
        self.stream.changed(changed)

    @rule(name=SERVICES)
    def change_endpoints(self, name: str) -> None:
        if name in self.server[names.ENDPOINTS]:
            self.counter += 1
            changed: dict[str, set[str]] = {}
            self.put(changed, names.ENDPOINTS, name, f"v{self.counter}")
            self.stream.changed(changed)

    @rule(
        name=st.sampled_from(SLOTS),
        present=st.booleans(),
        bad=st.booleans(),
        renewed=st.booleans(),
    )
    def change_fault(self, name: str, present: bool, bad: bool, renewed: bool) -> None:
        self.counter += 1
        changed: dict[str, set[str]] = {}
        version = f"{BAD if bad else 'v'}{self.counter}" if present else None
        self.put(changed, names.EXTENSION, name, version)
        self.stream.changed(changed)
        if renewed:
            self.renew()

    @rule()
    def renew(self) -> None:
        self.promised = set(self.server[names.EXTENSION])
        for name in self.promised:
            self.stream.renew(names.EXTENSION, name)

    @rule()
    def outdate(self) -> None:
        self.promised.clear()
        self.stream.outdate()

    @rule()
    def leases_expire(self) -> None:
        self.proxy.have[names.EXTENSION].clear()

    @rule()
    def reconnects(self) -> None:
        self.connect()

    @rule(steps=st.integers(1, 6))
    def exchange(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    @rule()
    def all_is_quiet_for_a_while(self) -> None:
        self.rest()

    def step(self) -> bool:
        if self.to_proxy:
            self.deliver(self.to_proxy.pop(0))
            return True
        if self.to_server:
            for rejection in self.stream.receive(self.to_server.pop(0)):
                self.reported.add((rejection.name, rejection.version))
        sent = self.stream.poll()
        for response in sent:
            if response.type_url in names.LEASED:
                found = {each.name for each in response.resources}
                assert found <= self.promised, "sent without being vouched for"
                self.promised -= found
        self.to_proxy += sent
        return bool(sent or self.to_server)

    def deliver(self, response: Response) -> None:
        had = dict(self.proxy.have[names.CLUSTER])
        self.to_server += self.proxy.take(response)
        if response.type_url in {names.ROUTES, names.VIRTUAL_HOST}:
            for each in response.resources:
                if each.name.startswith("80"):
                    self.assert_usable(each.version)
        if response.type_url == names.CLUSTER:
            used = {
                target
                for kind, name in ((names.ROUTES, "80"), (names.VIRTUAL_HOST, "80/h"))
                for target in self.proxy.have[kind].get(name, "v::").split(":")[1].split(",")
            }
            gone = self.gone(set(had) - set(self.proxy.have[names.CLUSTER]))
            assert not gone & used, "a cluster in use was removed"

    def time_passes(self) -> None:
        """Nothing that a proxy is not told hangs on it."""

    def gone(self, found: set[str]) -> set[str]:
        """Of clusters that a response took away, those that it should not have."""
        return found

    def assert_usable(self, route: str) -> None:
        """A route that arrives leads to clusters which are there and warm, unless the proxy was sent a bad one."""
        for target in filter(None, route.split(":")[1].split(",")):
            assert target in self.spoilt or target in self.proxy.warm, f"{target} is not warm"

    @invariant()
    def one_unanswered_of_each_type(self) -> None:
        types = [each.type_url for each in self.to_proxy]
        assert len(types) == len(set(types)) or names.CLUSTER in types

    def teardown(self) -> None:
        self.rest()
        # What the server's clock does when a proxy does not ask for more.
        self.stream.release()
        self.time_passes()
        # After a refusal those of the next renewal go one by one.
        for _ in range(2):
            self.renew()
            self.rest()
        assert self.stream.synced
        for kind in names.ORDER:
            if kind != names.VIRTUAL_HOST or self.proxy.opened:
                self.assert_in_step(kind)

    def rest(self) -> None:
        for _ in range(500):
            if not self.step():
                return
        raise AssertionError("it never comes to rest")

    def assert_in_step(self, kind: str) -> None:
        wanted: dict[str, Any] = {name: each.version for name, each in self.server[kind].items()}
        have = self.proxy.have[kind]
        if kind in self.proxy.asked:
            wanted = {name: v for name, v in wanted.items() if name in self.proxy.asked[kind]}
            if kind not in names.LEASED:
                have = {name: v for name, v in have.items() if name in wanted}
        if kind == names.VIRTUAL_HOST:
            wanted = {n: v for n, v in wanted.items() if n[:2] in self.proxy.have[names.ROUTES]}
        for name, version in wanted.items():
            if version.startswith(BAD):
                assert (name, version) in self.reported
                assert have.get(name) != version
            else:
                assert have.get(name) == version, f"{kind} {name}"
        assert set(have) <= set(wanted), f"{kind}: {have} {wanted}"


class Whole(Delta):
    """The same in the other variant."""

    def made_proxy(self) -> NaiveProxy:
        return WholeProxy()

    def codec(self) -> Codec:
        assert isinstance(self.proxy, WholeProxy)
        return self.proxy.codec

    def time_passes(self) -> None:
        # Leased resources are not taken away by name: they end by themselves.
        self.leases_expire()

    def gone(self, found: set[str]) -> set[str]:
        # What a proxy has when it comes back is not known: the first state takes away what is no longer there, and of what
        # is malformed now it cannot be told to keep what it had.
        assert isinstance(self.proxy, WholeProxy)
        if not self.proxy.unknown:
            return found
        there = self.server[names.CLUSTER]
        return {
            each
            for each in found
            if each in there and not there[each].version.startswith(MALFORMED)
        }


TestDelta = Delta.TestCase
TestWhole = Whole.TestCase
TestWhole.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)
TestDelta.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)
