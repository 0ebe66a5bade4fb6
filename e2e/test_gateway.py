"""The gateway as the books show it: certificates by name, changed under load; TCP; TLS passed on; one's own gateway."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.kubectl import until
from e2e.lab import SYSTEM, Lab
from tests.certificates import Authority

EXAMPLE = Path(__file__).parent / "mesh" / "gateway.yaml"
INGRESS = EXAMPLE.with_name("ingress.yaml")
NAMESPACE = "gateway-e2e"
WEBAPP, CATALOG = "webapp.istioinaction.io", "catalog.istioinaction.io"
SHOP = "shop.istioinaction.io"
SNI = "simple-sni-{}.istioinaction.io"
CREDENTIALS = ("webapp-credential", "catalog-credential", "catalog-credential-cacert")


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    certificate: bytes


@dataclass
class Seen:
    """What many requests, each over a connection of its own, came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    certificates: set[bytes] = field(default_factory=set)


@dataclass(frozen=True)
class Edge:
    """The addresses of the ingress gateway's Service and pod and of one's own, and who signed what they show."""

    lab: Lab
    authority: Authority
    service: str
    pod: str
    own: str

    def certify(self, name: str, host: str) -> None:
        certificate, key = self.authority.issue(host)
        secret(self.lab, SYSTEM, name, tls_crt=certificate, tls_key=key)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.certificate.decode())

    def get(self, host: str, port: int = 443, context: ssl.SSLContext | None = None) -> Answer:
        """`GET /` over a connection of its own that asks for the host by TLS."""
        context = context or self.context()
        address = self.service if port == 443 else self.pod
        with (
            socket.create_connection((address, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            head = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            certificate = connection.getpeercert(binary_form=True) or b""
            return Answer(response.status, response.read().decode(), certificate)

    def answers(self, host: str, port: int = 443, context: ssl.SSLContext | None = None) -> bool:
        try:
            return self.get(host, port, context).status == 200
        except (OSError, http.client.HTTPException):
            return False

    @contextmanager
    def asked(self, host: str) -> Iterator[Seen]:
        """Requests without a pause for as long as the block lasts."""
        seen, over = Seen(), threading.Event()

        def ask() -> None:
            context = self.context()
            while not over.is_set():
                try:
                    answer = self.get(host, context=context)
                except (OSError, http.client.HTTPException) as error:
                    seen.outcomes[repr(error)] += 1
                else:
                    seen.outcomes[str(answer.status)] += 1
                    seen.certificates.add(answer.certificate)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in threads:
                thread.join()


def secret(lab: Lab, namespace: str, name: str, **pem: bytes) -> None:
    data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in pem.items()}
    metadata = {"name": name, "namespace": namespace}
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    lab.kubectl.run("apply", "-f", "-", stdin=json.dumps(obj))


def clear(address: str, port: int, host: str, path: str = "/") -> tuple[int, str, str]:
    """Status, location and body of a GET without TLS; zero where there is no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.getheader("location", ""), response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, "", ""
    finally:
        connection.close()


def pods_of(lab: Lab, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.kubectl.json("get", "pods", "-n", SYSTEM, "-l", selector)[
        "items"
    ]
    return found


@pytest.fixture(scope="module")
def edge(cluster: Lab) -> Iterator[Edge]:
    kubectl, authority = cluster.kubectl, Authority()
    kubectl.run(
        "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100
    )
    # One that is being replaced would still inject its own image.
    until(
        "no control plane that is being replaced",
        lambda: (
            not any(
                "deletionTimestamp" in each["metadata"]
                for each in pods_of(cluster, "app.kubernetes.io/component=mesh")
            )
        ),
        timeout=60,
    )
    kubectl.run("create", "namespace", NAMESPACE)
    certificate, key = authority.issue(SNI.format(1), SNI.format(2))
    secret(cluster, NAMESPACE, "simple-tls", tls_crt=certificate, tls_key=key)
    kubectl.apply(EXAMPLE)
    kubectl.wait("deployment", "--all", "-n", NAMESPACE, "--for=condition=Available")
    (pod,) = (
        each
        for each in pods_of(cluster, "istio=ingressgateway")
        if "deletionTimestamp" not in each["metadata"]
    )
    ingress = kubectl.json("get", "service", "istio-ingressgateway", "-n", SYSTEM)
    own = kubectl.json("get", "service", "my-user-gateway", "-n", NAMESPACE)
    yield Edge(
        lab=cluster,
        authority=authority,
        service=ingress["spec"]["clusterIP"],
        pod=pod["status"]["podIP"],
        own=own["spec"]["clusterIP"],
    )
    kubectl.run("delete", "namespace", NAMESPACE, "--timeout=90s", timeout=100)
    kubectl.run("delete", "secret", "-n", SYSTEM, "--ignore-not-found", *CREDENTIALS)


def test_each_host_has_its_certificate_and_changes_it_without_a_lost_request(edge: Edge) -> None:
    edge.certify("webapp-credential", WEBAPP)
    until("HTTPS to be served", lambda: edge.answers(WEBAPP), timeout=30)
    with edge.asked(WEBAPP) as seen:
        until("the first answers", lambda: bool(seen.certificates), timeout=30)
        for known in range(1, 6):
            edge.certify("webapp-credential", WEBAPP)
            until("the new certificate", partial(more, seen, known), timeout=30)
    assert set(seen.outcomes) == {"200"}, seen.outcomes
    assert len(seen.certificates) == 6
    print(f"{seen.outcomes.total()} connections, 5 changes of the certificate, none lost")
    with pytest.raises(ssl.SSLCertVerificationError):
        edge.get(WEBAPP, context=ssl.create_default_context())


def test_clients_show_certificates_where_they_have_to(edge: Edge, tmp_path: Path) -> None:
    condition = "the Gateway to say what it lacks"
    until(
        condition, lambda: "catalog-credential does not exist" in gateway_message(edge), timeout=30
    )
    edge.certify("catalog-credential", CATALOG)
    secret(edge.lab, SYSTEM, "catalog-credential-cacert", ca_crt=edge.authority.certificate)
    identity = tmp_path / "client.pem"
    identity.write_bytes(b"".join(edge.authority.issue("client.istioinaction.io")))
    known = edge.context()
    known.load_cert_chain(identity)
    until("a client that is known", lambda: edge.answers(CATALOG, context=known), timeout=30)
    assert not edge.answers(CATALOG), "a client without a certificate"
    until("nothing to be lacking", lambda: not gateway_message(edge), timeout=30)


def more(seen: Seen, than: int) -> bool:
    return len(seen.certificates) > than


def gateway_message(edge: Edge) -> str:
    found = edge.lab.kubectl.json(
        "get", "gateway.networking.istio.io", "coolstore-gateway", "-n", NAMESPACE
    )
    return "".join(c["message"] for c in (found.get("status") or {}).get("conditions") or ())


def test_clear_text_is_sent_to_https_and_tcp_and_tls_to_whom_they_are_for(edge: Edge) -> None:
    assert clear(edge.service, 80, WEBAPP)[:2] == (301, f"https://{WEBAPP}/")
    until("TCP", lambda: "Hello from webapp" in clear(edge.pod, 31400, "anything")[2], timeout=30)
    for number in (1, 2):
        host = SNI.format(number)
        until(host, partial(edge.answers, host, 31401), timeout=30)
        assert f"Hello from simple-tls-service-{number}!!!" in edge.get(host, 31401).body
    assert not edge.answers(WEBAPP, 31401)


def test_a_gateway_of_ones_own_is_injected(edge: Edge) -> None:
    until("an answer", lambda: clear(edge.own, 80, WEBAPP)[0] == 200, timeout=60)
    assert "Hello from webapp" in clear(edge.own, 80, WEBAPP)[2]
    assert clear(edge.own, 80, "unknown.example.com")[0] == 404


def test_an_ingress_leads_by_host_and_path_and_is_told_where(edge: Edge) -> None:
    kubectl = edge.lab.kubectl
    kubectl.apply(INGRESS)
    answer = partial(clear, edge.service, 80, SHOP)
    until("its path", lambda: "Hello from webapp" in answer("/api/info")[2], timeout=30)
    assert [answer(path)[0] for path in ("/", "/apiary")] == [404, 404]
    assert clear(edge.service, 80, "other.istioinaction.io")[0] == 404

    def told() -> bool:
        found = kubectl.json("get", "ingress", "shop", "-n", NAMESPACE)["status"]
        there: object = found.get("loadBalancer", {}).get("ingress")
        return there == [{"ip": edge.service}]

    until("the Ingress to be told where it is reached", told, timeout=30)
    kubectl.run("delete", "ingress", "shop", "-n", NAMESPACE)
    until("it to be gone", lambda: clear(edge.service, 80, SHOP)[0] == 404, timeout=30)
