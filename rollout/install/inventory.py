"""Which kinds an installation is made of, in the order in which they are applied, and how its objects are known again.

Must not know the chart's contents.
"""

from __future__ import annotations

from rollout.api import kinds
from rollout.api.kinds import Kind
from rollout.install.errors import InstallError
from rollout.kube.objects import Object, labels_of

RELEASE = "rollout"
FIELD_MANAGER = "rollout-install"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
VERSION = "app.kubernetes.io/version"
OURS = {INSTANCE: RELEASE, MANAGED_BY: RELEASE}
SELECTOR = ",".join(f"{key}={value}" for key, value in OURS.items())

# Webhooks come last: before their servers run they could only be in the way.
KINDS: tuple[Kind, ...] = (
    kinds.SERVICE_ACCOUNT,
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        namespaced=False,
    ),
    Kind("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    kinds.CONFIG_MAP,
    kinds.SERVICE,
    kinds.DEPLOYMENT,
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    kinds.INGRESS_CLASS,
    kinds.MUTATING_WEBHOOK,
    kinds.VALIDATING_WEBHOOK,
)
_BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}


def kind_of(obj: Object) -> Kind:
    """The kind of a rendered object; a kind that no installation has is an `InstallError`."""
    named = (obj.get("apiVersion", ""), obj.get("kind", ""))
    if named not in _BY_NAME:
        raise InstallError(f"the chart has a {named[1]} ({named[0]}), which cannot be installed")
    return _BY_NAME[named]


def is_ours(obj: Object) -> bool:
    """Whether `rollout install` made it."""
    labels = labels_of(obj)
    return all(labels.get(key) == value for key, value in OURS.items())


def described(obj: Object) -> str:
    """`Kind namespace/name`, as messages name an object."""
    metadata = obj["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{obj['kind']} {place}{metadata['name']}"
