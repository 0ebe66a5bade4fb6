"""Keeps the authority whole: its Secrets, the roots in trust, and the certificate that the control plane shows.

Level-triggered: what is deleted, replaced or near its end is mended when it is seen, without a restart. Knows where
the material lies; not who asks for certificates.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from rollout.api.kinds import SECRET
from rollout.kube.cache import Cache
from rollout.kube.certificates import KeyPair, renewal_time
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, Conflict, KubeError
from rollout.kube.fence import Territory
from rollout.kube.objects import Object
from rollout.kube.queue import WorkQueue, run_workers
from rollout.mesh.identity import authority as ca
from rollout.mesh.identity import trust
from rollout.mesh.identity.authority import Authority, Lifetimes, UnusableError

PLUGGED, OWN, ROOTS = "cacerts", "istio-ca-secret", "rollout-mesh-roots"
SETTLE = timedelta(seconds=150)
"""How long a new root is published before it signs: kubelets renew mounted ConfigMaps within 90 s or so."""
_LOOK_AGAIN = timedelta(hours=1)
_KEY = "authority"
_SIGNING = "signing-"
"""What the record's keys of the authority begin with that signs meanwhile."""

log = structlog.get_logger(__name__)


class Keeper:
    """The authority in force; `ready` is set once there is one. Create it before the cache runs.

    Where the namespace is not in the `territory`, it only takes what another writes; call `look` when that changes.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespace: str,
        dns_names: Sequence[str],
        *,
        publish: Callable[[bytes], None],
        territory: Territory,
        settle: timedelta = SETTLE,
        lifetimes: Lifetimes | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self._client, self._namespace, self._dns_names = client, namespace, dns_names
        self._publish, self._settle, self._territory = publish, settle, territory
        self._longest = (lifetimes or Lifetimes()).most
        self._now = now or (lambda: datetime.now(UTC))
        self._stores = {
            name: cache.watch(SECRET, namespace=namespace, name=name)
            for name in (PLUGGED, OWN, ROOTS)
        }
        self._queue: WorkQueue[str] = WorkQueue(cap=10.0)
        self._authority: Authority | None = None
        self._serving: KeyPair | None = None
        self.trusted = b""
        """The roots that everybody is told to believe now, PEM."""
        self._problem = ""
        for store in self._stores.values():
            store.subscribe(lambda _change: self.look())

    def look(self) -> None:
        """Something may be amiss, or ours to mend now."""
        self._queue.add(_KEY)

    @property
    def authority(self) -> Authority:
        """What signs now."""
        if self._authority is None:
            raise RuntimeError("there is no authority yet")
        return self._authority

    @property
    def serving(self) -> KeyPair:
        """What the control plane shows to proxies now."""
        if self._serving is None:
            raise RuntimeError("there is no authority yet")
        return self._serving

    async def run(self) -> None:
        """Mends what is amiss whenever it is seen, until cancelled."""
        self.look()
        await run_workers(self._queue, self._reconcile, 1)

    async def _reconcile(self, key: str) -> None:
        try:
            again = await self._settled()
        except (AlreadyExists, Conflict):
            # Another replica was first: its write is on its way here.
            again = timedelta(seconds=0.2)
        except KubeError as error:
            log.warning("authority not kept", error=str(error))
            self._queue.add_backoff(key)
            return
        self._queue.forget(key)
        self._queue.add_after(key, again)

    async def _settled(self) -> timedelta:
        """One look; answers when the next is due."""
        now = self._now()
        wanted = self._plugged(now) or await self._own(now)
        known, stored = self._record(now)
        if wanted is None or not (known or self._ours):
            return _LOOK_AGAIN  # the one who writes them is not here; they are watched
        roots = known
        if self._ours:
            roots = trust.advance(known, wanted.roots, now, self._longest)
        wait = trust.left(roots, wanted.roots, now, self._settle)
        signing = self._meanwhile(wanted, stored, roots, now) if wait else wanted
        if self._ours:
            await self._remember(roots, signing if signing != wanted else None)
        self.trusted = b"".join(root.pem for root in roots)
        self._publish(self.trusted)
        self._sign_with(signing)
        self._serve(now)
        self.ready.set()
        due = renewal_time(self.serving) - now
        return max(min(wait or _LOOK_AGAIN, due, _LOOK_AGAIN), timedelta(seconds=1))

    def _meanwhile(
        self,
        wanted: Authority,
        stored: Authority | None,
        roots: Sequence[trust.Root],
        now: datetime,
    ) -> Authority:
        """What signs until everybody trusts the wanted one: the one in use, that of the record, or one's own."""
        if self._authority is not None:
            return self._authority
        for each in (stored, self._read(OWN, now)):
            if each is not None and not trust.left(roots, each.roots, now, self._settle):
                return each
        return wanted

    def _read(self, name: str, now: datetime) -> Authority | None:
        data = self._data(name)
        try:
            return ca.read(data, now) if data else None
        except UnusableError:
            return None

    def _plugged(self, now: datetime) -> Authority | None:
        """The authority that somebody put here; one that cannot be used is said and leaves the last one in force."""
        data = self._data(PLUGGED)
        if data is None:
            return None
        try:
            found = ca.read(data, now)
        except UnusableError as error:
            if str(error) != self._problem:
                secret = f"{self._namespace}/{PLUGGED}"
                log.error("the authority given cannot be used", secret=secret, problem=str(error))
            self._problem = str(error)
            return self._authority
        self._problem = ""
        return found

    async def _own(self, now: datetime) -> Authority | None:
        """The one that was made here, made where there is none; None where that is another's to do."""
        data = self._data(OWN)
        old = None
        try:
            old = ca.read(data, now) if data else None
        except UnusableError as error:
            log.warning("own authority has to be made anew", problem=str(error))
        if not self._ours or (old is not None and not ca.due(old, now)):
            return old
        made = ca.self_signed(now, old)
        await self._write(OWN, made.data())
        log.info("own authority issued", secret=f"{self._namespace}/{OWN}")
        return made

    def _record(self, now: datetime) -> tuple[tuple[trust.Root, ...], Authority | None]:
        """The roots in trust, and what signs while a new one of them is not trusted by everybody yet."""
        data = self._data(ROOTS) or {}
        known: tuple[trust.Root, ...] = ()
        try:
            pems = ca.certificates(data.get(ca.ROOT, b""), ca.ROOT)
            known = trust.from_data(pems, data.get("times.json", b"{}")) if pems else ()
        except ValueError as error:
            log.warning("the record of roots is begun anew", problem=str(error))
        parts = {key.removeprefix(_SIGNING): each for key, each in data.items() if _SIGNING in key}
        try:
            return known, ca.read(parts, now) if parts else None
        except UnusableError:
            return known, None

    async def _remember(self, roots: Sequence[trust.Root], signing: Authority | None) -> None:
        """What signs meanwhile is kept, too: its own Secret may be gone, and this process may be."""
        record = trust.to_data(roots)
        if signing is not None:
            record |= {_SIGNING + key: each for key, each in signing.data().items()}
        if record != self._data(ROOTS):
            await self._write(ROOTS, record)

    def _sign_with(self, wanted: Authority) -> None:
        if wanted != self._authority:
            self._authority, self._serving = wanted, None
            log.info("authority in force", until=wanted.parsed.not_valid_after_utc.isoformat())

    def _serve(self, now: datetime) -> None:
        if self._serving is None or now >= renewal_time(self._serving):
            self._serving = ca.serving(self.authority, self._dns_names, now)

    @property
    def _ours(self) -> bool:
        return self._territory.holds(self._namespace)

    def _data(self, name: str) -> dict[str, bytes] | None:
        secret = self._stores[name].get(self._namespace, name)
        if secret is None:
            return None
        found = {}
        for key, value in (secret.get("data") or {}).items():
            try:
                found[key] = base64.b64decode(value, validate=True)
            except binascii.Error:
                continue
        return found

    async def _write(self, name: str, data: dict[str, bytes]) -> None:
        old = self._stores[name].get(self._namespace, name)
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        if old is not None:
            async with self._territory.writing(self._namespace):
                await self._client.replace(SECRET, {**old, "data": encoded})
            return
        secret: Object = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {
                "namespace": self._namespace,
                "name": name,
                "labels": {"app.kubernetes.io/managed-by": "rollout"},
            },
            "type": "istio.io/ca-root" if name == OWN else "Opaque",
            "data": encoded,
        }
        async with self._territory.writing(self._namespace):
            await self._client.create(SECRET, secret)
