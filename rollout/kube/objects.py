"""Small truths about Kubernetes JSON that every room needs: identity, metadata, owners, label selectors.

Knows the envelope that all objects share (`metadata`), and nothing of what stands in `spec`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]
"""One Kubernetes object as the API serves it; never mutated once it has entered a store."""

Objects: TypeAlias = list[Object]


class Key(NamedTuple):
    """An object's identity within its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Object) -> Key:
    """The object's key."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace") or "", metadata["name"])


def version_of(obj: Object) -> int:
    """The resource version as a number; 0 where there is none.

    Resource versions of one resource are comparable decimal integers (KEP-5504, Kubernetes 1.35).
    """
    return int(obj["metadata"].get("resourceVersion") or 0)


def uid_of(obj: Object) -> str:
    """The object's UID; empty for an object that was never created."""
    return str(obj["metadata"].get("uid") or "")


def labels_of(obj: Object) -> dict[str, str]:
    """The object's labels, to be read only."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The object's annotations, to be read only."""
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Object) -> bool:
    """Whether deletion was asked for and only waits for finalizers or for a grace period."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def owner_reference(obj: Object, *, controller: bool = True) -> Object:
    """An entry for `metadata.ownerReferences` of what belongs to `obj`, which must exist (it has a UID)."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": controller,
    }


def selector_matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) selects these labels.

    As in the API: no selector selects nothing, an empty one everything.
    """
    if selector is None:
        return False
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _expression_matches(expression, labels)
        for expression in selector.get("matchExpressions") or ()
    )


def _expression_matches(expression: Object, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"matchExpressions: unknown operator {other!r}")


def selector_string(selector: Object) -> str:
    """The LabelSelector in the form that the `labelSelector` query parameter takes."""
    parts = [
        f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())
    ]
    for expression in selector.get("matchExpressions") or ():
        name, values = expression["key"], ",".join(expression.get("values") or ())
        parts.append(
            {
                "In": f"{name} in ({values})",
                "NotIn": f"{name} notin ({values})",
                "Exists": name,
                "DoesNotExist": f"!{name}",
            }[expression["operator"]]
        )
    return ",".join(parts)
