"""How a server's proxy knows who calls.

A client's proxy names its workload in a header, which the server's proxy takes off before the application sees it. A
gateway overwrites what came from outside; within the mesh it is a name for metrics, not an identity. Its namespace is
the certificate's where there is one.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2 as h2m
from envoy.type.matcher.v3 import regex_pb2

from rollout.mesh.model.service import Workload

PEER_HEADER = "x-rollout-peer"
PEER_METADATA = "rollout.peer"
"""Where a destination's proxy keeps what its caller says of itself."""
PEER_FIELDS = ("workload", "namespace", "app", "version", "canonical", "revision")
_PROOF_HEADER = "x-rollout-identity"
_UNKNOWN = "unknown"


def fields(workload: Workload) -> tuple[str, ...]:
    """What of a workload is told, in the order of `PEER_FIELDS`."""
    return (
        workload.name,
        workload.namespace,
        workload.app,
        workload.version,
        workload.canonical,
        workload.revision,
    )


def peer_writer(workload: Workload) -> Any:
    """The filter that names this proxy's workload to whom it calls."""
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=PEER_HEADER, value=";".join(fields(workload))),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    config = header_mutation_pb2.HeaderMutation()
    config.mutations.request_mutations.add().append.CopyFrom(option)
    return config


def peer_reader() -> Any:
    """The filter that takes the caller's name off a request and keeps it for metrics."""
    rules = [_rule(index) for index in range(len(PEER_FIELDS))]
    rules[-1].remove = True
    return h2m.Config(request_rules=rules)


def proof_writer() -> Any:
    """The filter that puts the caller's identity where `proof_reader` finds it, whatever was there."""
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=_PROOF_HEADER, value="%DOWNSTREAM_PEER_URI_SAN%"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    config = header_mutation_pb2.HeaderMutation()
    config.mutations.request_mutations.add().append.CopyFrom(option)
    return config


def proof_reader() -> Any:
    """The filter that takes the caller's namespace from its identity, over what its header says."""
    rewrite = regex_pb2.RegexMatchAndSubstitute(
        pattern=regex_pb2.RegexMatcher(regex="^spiffe://[^/]+/ns/([^/]+)/sa/.*$"),
        substitution=r"\1",
    )
    proved = h2m.Config.KeyValuePair(
        metadata_namespace=PEER_METADATA, key="namespace", regex_value_rewrite=rewrite
    )
    rule = h2m.Config.Rule(header=_PROOF_HEADER, on_header_present=proved, remove=True)
    return h2m.Config(request_rules=[rule])


def _rule(index: int) -> Any:
    parts = ["([^;]*)" if i == index else "[^;]*" for i in range(len(PEER_FIELDS))]
    rewrite = regex_pb2.RegexMatchAndSubstitute(
        pattern=regex_pb2.RegexMatcher(regex=f"^{';'.join(parts)}$"), substitution=r"\1"
    )
    pair = h2m.Config.KeyValuePair
    key = PEER_FIELDS[index]
    return h2m.Config.Rule(
        header=PEER_HEADER,
        on_header_present=pair(
            metadata_namespace=PEER_METADATA, key=key, regex_value_rewrite=rewrite
        ),
        on_header_missing=pair(metadata_namespace=PEER_METADATA, key=key, value=_UNKNOWN),
    )
