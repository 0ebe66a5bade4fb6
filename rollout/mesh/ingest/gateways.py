"""Gateways to what their proxies listen for; a server that cannot be served as written is left out and said."""

from __future__ import annotations

import re
from ipaddress import ip_address

from rollout.api.istio.gateway import Gateway as Parsed
from rollout.api.istio.gateway import Server, ServerTLSSettings
from rollout.mesh.model.gateway import Gateway, GatewayServer, ServerProtocol, ServerTLS, TLSMode
from rollout.mesh.model.problem import Problem, Ref

_PROTOCOLS = {
    "HTTP": ServerProtocol.HTTP,
    "HTTP2": ServerProtocol.HTTP,
    "GRPC": ServerProtocol.HTTP,
    "GRPC-WEB": ServerProtocol.HTTP,
    "HTTPS": ServerProtocol.HTTPS,
    "TCP": ServerProtocol.TCP,
    "MONGO": ServerProtocol.TCP,
    "TLS": ServerProtocol.TLS,
}
_VERSIONS = {"TLS_AUTO": 0, "TLSV1_0": 10, "TLSV1_1": 11, "TLSV1_2": 12, "TLSV1_3": 13}
_CIPHERS = frozenset(
    f"{exchange}{cipher}"
    for exchange in ("ECDHE-ECDSA-", "ECDHE-RSA-", "")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")
) | {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"}
"""What Envoy's TLS library knows; it would refuse a listener with any other."""
_FILES = frozenset({"server_certificate", "private_key", "ca_certificates"})
_ASKING = frozenset(mode for mode in TLSMode if mode.asks_client)
_KEYED = _ASKING | {TLSMode.SIMPLE}
_SETTINGS: dict[str, frozenset[TLSMode]] = {
    "credential_name": _KEYED,
    "server_certificate": _KEYED,
    "private_key": _KEYED,
    "ca_certificates": _ASKING,
    "subject_alt_names": _ASKING | {TLSMode.MESH},
    "min_protocol_version": _KEYED,
    "max_protocol_version": _KEYED,
    "cipher_suites": _KEYED,
}
"""In which modes a server's settings say something."""
_SECRET_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")
_REMEDY = "remove it, or wait for a version that acts upon it"


def gateway(parsed: Parsed) -> tuple[Gateway, list[Problem]]:
    """The gateway with the servers that can be served; the others are problems."""
    ref = Ref("Gateway", parsed.namespace, parsed.name)
    problems = [Problem(ref, f.path, f.reason, f.remedy or _REMEDY) for f in parsed.unknown_fields]
    servers: list[GatewayServer] = []
    for index, server in enumerate(parsed.spec.servers):
        reader = _ServerReader(ref, f"spec.servers[{index}]", problems)
        if (found := reader.server(index, server)) is not None:
            servers.append(found)
    found_gateway = Gateway(
        ref=ref,
        created=parsed.metadata.creation_timestamp,
        selector=frozenset(parsed.spec.selector.items()),
        servers=tuple(servers),
    )
    return found_gateway, problems


class _ServerReader:
    """Reads one server, adding to its object's problems."""

    def __init__(self, ref: Ref, path: str, problems: list[Problem]) -> None:
        self._ref, self._path, self._problems = ref, path, problems

    def _say(self, field: str, reason: str, remedy: str) -> None:
        self._problems.append(Problem(self._ref, f"{self._path}.{field}", reason, remedy))

    def server(self, index: int, server: Server) -> GatewayServer | None:
        protocol = _PROTOCOLS[server.port.protocol.upper()]
        if server.port.target_port:
            reason = "has no effect: the gateway's Service says where the pod listens"
            self._say("port.targetPort", reason, "remove it")
        tls, redirect = None, False
        if server.tls is not None and not protocol.encrypted:
            redirect = self._clear(protocol, server.tls)
        elif server.tls is not None:
            tls = self._tls(server.tls)
            if tls is None:
                return None
            if not tls.mode.terminated:
                protocol = ServerProtocol.TLS
        return GatewayServer(
            port=server.port.number,
            hosts=_hosts(server),
            index=index,
            name=server.port.name or server.name or "",
            protocol=protocol,
            redirect=redirect,
            bind=self._bind(server.bind or ""),
            tls=tls,
        )

    def _bind(self, text: str) -> str:
        try:
            address = ip_address(text) if text else None
        except ValueError:
            reason = f"{text!r} is no address: all are listened on"
            self._say("bind", reason, "give an IP address, or remove it")
            return ""
        return "" if address is None or address.is_unspecified else str(address)

    def _clear(self, protocol: ServerProtocol, tls: ServerTLSSettings) -> bool:
        """All that TLS settings can say of a port without TLS is that its clients are to use another."""
        for field in ("mode", *_SETTINGS):
            if getattr(tls, field):
                remedy = "use protocol HTTPS or TLS, or remove it"
                reason = f"has no effect on a port of protocol {protocol.value}"
                self._say(f"tls.{_written(field)}", reason, remedy)
        if tls.https_redirect and protocol is ServerProtocol.TCP:
            self._say("tls.httpsRedirect", "has no effect on protocol TCP", "remove it")
            return False
        return bool(tls.https_redirect)

    def _tls(self, given: ServerTLSSettings) -> ServerTLS | None:
        mode = TLSMode(given.mode or "PASSTHROUGH")
        if given.https_redirect:
            self._say("tls.httpsRedirect", "has no effect on a port of TLS", "use it on port 80")
        self._idle(given, mode)
        if not mode.terminated:
            return ServerTLS(mode=mode)
        if mode is TLSMode.MESH:
            return ServerTLS(mode=mode, names=given.subject_alt_names)
        credential = (given.credential_name or "").removeprefix("kubernetes://")
        if not credential:
            files = given.server_certificate or given.private_key or given.ca_certificates
            reason = "is missing: files of the proxy's pod are not read" if files else "is missing"
            self._say("tls.credentialName", reason, "name a Secret of the gateway's namespace")
            return None
        if not _SECRET_NAME.fullmatch(credential):
            self._say("tls.credentialName", f"{credential!r} is not a Secret's name", "correct it")
            return None
        least, most = self._versions(given)
        return ServerTLS(
            mode=mode,
            credential=credential,
            names=given.subject_alt_names if mode.asks_client else (),
            least=least,
            most=most,
            ciphers=self._ciphers(given),
        )

    def _idle(self, given: ServerTLSSettings, mode: TLSMode) -> None:
        """Says what has no effect in a mode; files have none beside a Secret."""
        for field, used in _SETTINGS.items():
            path = f"tls.{_written(field)}"
            if not getattr(given, field):
                continue
            if mode not in used:
                self._say(
                    path, f"has no effect with mode {mode.value}", "remove it, or use another mode"
                )
            elif field in _FILES and given.credential_name:
                self._say(path, "has no effect with credentialName", "remove it")

    def _versions(self, given: ServerTLSSettings) -> tuple[int, int]:
        found = []
        for field, text in (
            ("minProtocolVersion", given.min_protocol_version),
            ("maxProtocolVersion", given.max_protocol_version),
        ):
            if text and text not in _VERSIONS:
                self._say(f"tls.{field}", f"{text!r} is unknown", f"use {', '.join(_VERSIONS)}")
            found.append(_VERSIONS.get(text or "", 0))
        least, most = found
        if least and most and least > most:
            self._say("tls.minProtocolVersion", "is above maxProtocolVersion", "lower it")
            return 0, 0
        return least, most

    def _ciphers(self, given: ServerTLSSettings) -> tuple[str, ...]:
        for index, cipher in enumerate(given.cipher_suites):
            if cipher not in _CIPHERS:
                reason = f"{cipher!r} is unknown: it is left out"
                remedy = f"use any of {', '.join(sorted(_CIPHERS))}"
                self._say(f"tls.cipherSuites[{index}]", reason, remedy)
        return tuple(dict.fromkeys(each for each in given.cipher_suites if each in _CIPHERS))


def _written(field: str) -> str:
    return ServerTLSSettings.model_fields[field].alias or field


def _hosts(server: Server) -> tuple[tuple[str, str], ...]:
    pairs = []
    for entry in server.hosts:
        namespace, slash, host = entry.rpartition("/")
        pairs.append((namespace if slash else "*", host.lower()))
    return tuple(pairs)
