"""What counts as a revision of a target: the part of it that its kind names, and the configs that its template names.

The hash is over canonical JSON, so that it depends neither on this program's version nor on the order of keys; its
prefix names the format, so that another one is never compared with it (`phases.takeover` says what it means instead).
Knows nothing of phases.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping

from rollout.delivery.status import SETTLED, Status
from rollout.kube.objects import Object, uid_of

_FORMAT = "v1-"
_PROMOTION_IDS = uuid.UUID("6f2f3a5e-6c0c-5d34-9a57-4c1f5c8f1c0e")


def revision_of(content: Object) -> str:
    """The name of the revision with this content, such as a pod template."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _FORMAT + hashlib.sha256(text.encode()).hexdigest()[:16]


def is_foreign(written: str) -> bool:
    """Whether a status' revision was written by Flagger, or by a version of this program with another format."""
    return bool(written) and not written.startswith(_FORMAT)


def has_changed(status: Status, revision: str, configs: Mapping[str, str]) -> bool:
    """Whether this revision is another one than the canary last dealt with.

    For a settled canary, going back to the promoted template is no change: that is how a person rolls back by hand, as in
    Flagger. While a revision is being analysed it is one, since what was analysed is no longer what would be promoted.
    """
    known = {status.last_applied_spec}
    if status.phase in SETTLED:
        known.add(status.last_promoted_spec)
    return revision not in known or dict(configs) != dict(status.tracked_configs)


def promotion_id(canary: Object, revision: str, configs: Mapping[str, str]) -> str:
    """The `flagger-id` of the primary's pods for this revision.

    It makes the primary roll also when only a config changed; being derived, a promotion repeated after a crash is the
    same promotion.
    """
    name = "\n".join([uid_of(canary), revision, *(f"{k}={configs[k]}" for k in sorted(configs))])
    return str(uuid.uuid5(_PROMOTION_IDS, name))
