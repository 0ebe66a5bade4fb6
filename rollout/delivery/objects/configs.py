"""The ConfigMaps and Secrets that a pod template names, their checksums, their copies for the primary, and the template
rewritten to name those.

Which references count, which Secret types, the opt-out and the checksum of `data` are Flagger's; `binaryData`
is copied and part of the checksum, too, where Flagger leaves it out. Copies are never immutable: promotions change them.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollout.api.kinds import CONFIG_MAP, SECRET, Kind
from rollout.delivery.objects.metadata import (
    CONFIG_TRACKING,
    labels_with_prefix,
    owned_metadata,
    primary_name,
)
from rollout.kube.objects import Object, annotations_of, labels_of

_TRACKED_SECRETS = frozenset(
    {"Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"}
)


@dataclass(frozen=True, slots=True, order=True)
class ConfigRef:
    """One ConfigMap or Secret by name, in the target's namespace."""

    secret: bool
    name: str

    @property
    def kind(self) -> Kind:
        """The resource that it names."""
        return SECRET if self.secret else CONFIG_MAP

    @property
    def key(self) -> str:
        """Its key in `status.trackedConfigs`."""
        return f"{'secret' if self.secret else 'configmap'}/{self.name}"


def referenced_configs(template: Object) -> tuple[ConfigRef, ...]:
    """Every ConfigMap and Secret that a pod of this template reads, sorted."""
    return tuple(sorted({ref for ref, _ in _references(template.get("spec") or {})}))


def is_tracked(config: Object, *, secret: bool) -> bool:
    """Whether the primary gets a copy of its own, and a change of it starts a rollout."""
    if annotations_of(config).get(CONFIG_TRACKING, "").startswith("disable"):
        return False
    return not secret or config.get("type", "Opaque") in _TRACKED_SECRETS


def checksum(config: Object) -> str:
    """The first 8 bytes of SHA-256 over the data as Go's encoding/json prints it, in hex."""
    data: object = config.get("data")
    if binary := config.get("binaryData"):
        data = {"data": data, "binaryData": binary}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def flaggers_checksum(config: Object) -> str:
    """The checksum as Flagger writes it: of `data` alone."""
    return checksum({"data": config.get("data")})


def primary_config(owner: Object, source: Object, kind: Kind, prefixes: Iterable[str]) -> Object:
    """The primary's copy of a ConfigMap or Secret."""
    copied: Object = {k: source[k] for k in ("data", "binaryData", "type") if k in source}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": owned_metadata(
            owner,
            primary_name(source["metadata"]["name"]),
            labels_with_prefix(labels_of(source), prefixes),
            {},
        ),
        **copied,
    }


def with_primary_configs(template: Object, copied: Iterable[ConfigRef]) -> Object:
    """The template with the references to these configs turned to the primary's copies."""
    wanted = frozenset(copied)
    result = copy.deepcopy(template)
    for ref, rename in _references(result.get("spec") or {}):
        if ref in wanted:
            rename(primary_name(ref.name))
    return result


Rename = Callable[[str], None]


def _references(spec: Object) -> Iterator[tuple[ConfigRef, Rename]]:
    for volume in spec.get("volumes") or ():
        yield from _reference(volume.get("configMap"), "name", secret=False)
        yield from _reference(volume.get("secret"), "secretName", secret=True)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _reference(source.get("configMap"), "name", secret=False)
            yield from _reference(source.get("secret"), "name", secret=True)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for variable in container.get("env") or ():
            value = variable.get("valueFrom") or {}
            yield from _reference(value.get("configMapKeyRef"), "name", secret=False)
            yield from _reference(value.get("secretKeyRef"), "name", secret=True)
        for source in container.get("envFrom") or ():
            yield from _reference(source.get("configMapRef"), "name", secret=False)
            yield from _reference(source.get("secretRef"), "name", secret=True)


def _reference(
    holder: Object | None, field: str, *, secret: bool
) -> Iterator[tuple[ConfigRef, Rename]]:
    if holder and (name := holder.get(field)):
        found: Object = holder

        def rename(new: str) -> None:
            found[field] = new

        yield ConfigRef(secret, name), rename


def checksums(configs: Mapping[ConfigRef, Object]) -> dict[str, str]:
    """`status.trackedConfigs` of these configs."""
    return {ref.key: checksum(configs[ref]) for ref in sorted(configs)}
