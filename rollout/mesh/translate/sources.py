"""Where a proxy finds what another resource names: on the stream that it came by."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import config_source_pb2

ADS: Any = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version="V3"
)
