"""What sessions do, said once more without Redis: a plain model, and a lane that compares a manager with it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from redisess_core import SessionGone, SessionLimitReached
from redisess_core.events import EventKind, EventReason, SessionEvent, read_event
from redisess_core.scripts import script
from redisess_core.tokens import session_id_of, user_shard
from support.both import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis

    from support.clock import FakeClock

LAYOUT_BYTES = 300
TOMBSTONE_MS = 30_000
_ROUNDING = 60  # milliseconds: ours up, the server's own, and the time that a look takes


@dataclass
class Modelled:
    """One session as it has to be."""

    session_id: str
    user: str | None
    created: float
    authenticated_at: float | None
    last_access: float
    ttl: float
    deadline: float = math.inf
    data: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def idle_end(self) -> float:
        return self.last_access + self.ttl if self.ttl else math.inf

    @property
    def expires(self) -> float:
        return min(self.idle_end, self.deadline)

    @property
    def shard(self) -> str:
        return self.session_id[1:3]

    def is_due(self, now: float, interval: float) -> bool:
        return now >= self.last_access + (min(interval, self.ttl / 10) if self.ttl else interval)

    def touch(self, now: float) -> None:
        self.last_access = max(self.last_access, now)


class Lane:
    """A manager, and the model of what it has to say; every method does a thing to both, and compares."""

    def __init__(self, manager: Any, raw: redis.Redis, clock: FakeClock) -> None:
        self.manager, self.raw, self.clock = manager, raw, clock
        self.sessions: dict[str, Modelled] = {}  # none that was ended; expired ones until the clock goes back
        self.held: dict[int, Any] = {}  # what a program holds: sessions, many of them stale or dead
        self.ends: dict[str, tuple[EventKind, EventReason]] = {}
        self.begun: set[str] = set()
        self.horizon = 0.0  # seconds for which the latest of all sessions may keep its keys
        self.went_back = False  # then what Redis counts down to is no longer what the clock says
        self._events = raw.pubsub(ignore_subscribe_messages=True)
        self._events.subscribe(*manager.event_channels())

    # The model

    def live(self, user: str | None = None) -> dict[str, Modelled]:
        """Give the live sessions, or those of one user."""
        now = self.clock()
        return {
            session_id: one
            for session_id, one in self.sessions.items()
            if now < one.expires and (user is None or one.user == user)
        }

    def users(self) -> dict[str, float]:
        """Give the users with a live session, and their latest access."""
        found: dict[str, float] = {}
        for one in self.live().values():
            if one.user is not None:
                found[one.user] = max(one.last_access, found.get(one.user, -math.inf))
        return found

    def _begin(self, one: Modelled) -> None:
        assert one.session_id not in self.begun
        self.begun.add(one.session_id)
        self.sessions[one.session_id] = one
        self.remember_horizon()

    def _end(self, session_id: str, kind: EventKind, reason: EventReason) -> None:
        del self.sessions[session_id]
        self.ends[session_id] = (kind, reason)

    def _created_by_now(self, user: str | None = None) -> set[str]:
        return {session_id for session_id, one in self.live(user).items() if one.created <= self.clock()}

    def go_back(self) -> None:
        """Note that the clock did."""
        self.went_back = True
        self.remember_horizon()

    def remember_horizon(self) -> None:
        """Note how long the keys may be kept for what is live now."""
        for one in self.live().values():
            if one.expires < math.inf:
                self.horizon = max(self.horizon, one.expires - self.clock() + max(60.0, one.ttl))

    def settle(self) -> None:
        """Sweep what has expired: it must not come back when the clock goes back."""
        removed, expired = self.manager.wipe(), self.sessions.keys() - self.live().keys()
        assert 0 <= removed <= len(expired)
        for session_id in expired:
            one = self.sessions[session_id]
            capped = one.deadline <= one.idle_end
            self._end(session_id, EventKind.EXPIRED, EventReason.LIFETIME if capped else EventReason.IDLE)

    # What is compared

    def compare(self, session: Any, *, data: bool = True) -> None:
        """Compare a session just loaded, attribute by attribute."""
        expected, now = self.sessions[session.session_id], self.clock()
        assert session.user_id == expected.user
        assert session.ttl == expected.ttl
        assert session.created == expected.created
        assert session.authenticated_at == expected.authenticated_at
        assert session.last_access == expected.last_access
        assert session.expires == expected.expires
        assert session.expires_in == expected.expires - now
        assert session.idle == max(0.0, now - expected.last_access)
        assert session.valid
        assert session.fields == dict.fromkeys(self.manager.additional_fields) | expected.fields
        assert dict(session.data) == (expected.data if data else {})

    def compare_ranked(self, found: list[str], scores: dict[str, float]) -> None:
        """Compare a list with the scores that give its order; equals come in any."""
        assert len(found) == len(set(found))
        assert set(found) == set(scores)
        order = [scores[member] for member in found]
        assert order == sorted(order, reverse=True)

    def _recent(self, scores: dict[str, float], secs: float) -> dict[str, float]:
        return {member: at for member, at in scores.items() if not secs or at >= self.clock() - secs}

    # The limit

    def _excess(self, user: str | None, besides: str = "") -> tuple[dict[str, Modelled], int]:
        limit, others = self.manager.max_sessions_per_user, self.live(user)
        others.pop(besides, None)
        return others, 0 if limit is None or user is None else max(0, len(others) - limit + 1)

    def _refused(self, excess: int) -> bool:
        return excess > 0 and self.manager.on_limit == "refuse"

    def _evict(self, others: dict[str, Modelled], excess: int) -> None:
        """Take out those that the limit ended; of equals, look which."""
        if not excess:
            return
        last = sorted(one.last_access for one in others.values())[excess - 1]
        ended = [session_id for session_id, one in others.items() if one.last_access < last]
        equal = [session_id for session_id, one in others.items() if one.last_access == last]
        if len(ended) + len(equal) > excess:
            equal = [session_id for session_id in equal if not self.manager.exists(session_id)]
        assert len(ended) + len(equal) == excess
        for session_id in ended + equal:
            self._end(session_id, EventKind.KILLED, EventReason.LIMIT)

    # Operations

    def create(
        self,
        handle: int,
        user: str | None,
        *,
        ttl: float | None,
        lifetime: float | None,
        data: dict[str, Any],
        fields: dict[str, Any],
    ) -> None:
        others, excess = self._excess(user)
        arguments = {"ttl": ttl, "max_lifetime": lifetime, "data": dict(data), **fields}
        self.held[handle] = None
        if self._refused(excess):
            with raises(SessionLimitReached):
                self.manager.create(user, **arguments)
            return
        session = self.manager.create(user, **arguments)
        assert session.session_id == session_id_of(session.token)
        now = self.clock()
        lifetime = self.manager.max_lifetime if lifetime is None else lifetime
        self._evict(others, excess)
        self._begin(
            Modelled(
                session.session_id,
                user,
                created=now,
                authenticated_at=None if user is None else now,
                last_access=now,
                ttl=self.manager.ttl if ttl is None else ttl,
                deadline=now + lifetime if lifetime else math.inf,
                data=dict(data),
                fields=dict(fields),
            )
        )
        self.compare(session)
        self.held[handle] = session

    def _looked(self, found: Any, session_id: str, *, touch: bool) -> Any:
        one = self.live().get(session_id)
        if one is None:
            assert found is None
            return None
        assert found is not None
        if touch and one.is_due(self.clock(), self.manager.touch_interval):
            one.touch(self.clock())
            self.remember_horizon()
        self.compare(found)
        return found

    def authenticate(self, handle: int, *, touch: bool, hold: bool) -> None:
        if (held := self.held[handle]) is None or held.token is None:
            return
        found = self._looked(self.manager.authenticate(held.token, touch=touch), held.session_id, touch=touch)
        assert found is None or found.token == held.token
        if hold and found is not None:
            self.held[handle] = found

    def get(self, handle: int, *, touch: bool, hold: bool) -> None:
        if (held := self.held[handle]) is None:
            return
        found = self._looked(self.manager.get(held.session_id, touch=touch), held.session_id, touch=touch)
        assert found is None or found.token is None
        if hold and found is not None:
            self.held[handle] = found

    def exists(self, handle: int) -> None:
        if (held := self.held[handle]) is not None:
            assert self.manager.exists(held.session_id) is (held.session_id in self.live())

    def read(self, handle: int) -> None:
        if (held := self.held[handle]) is None:
            return
        assert held.read() is (held.session_id in self.live())
        if held.session_id in self.live():
            self.compare(held)
        else:
            assert not held.valid

    def write(self, handle: int, *, ttl: float | None, fields: dict[str, Any]) -> None:
        if (held := self.held[handle]) is None:
            return
        if ttl is not None:
            held.ttl = ttl
        for name, value in fields.items():
            setattr(held, name, value)
        one = self.live().get(held.session_id)
        if one is None:
            with raises(SessionGone):
                held.write()
            return
        one.fields.update(held.changed_fields)
        held.write()
        if ttl is not None:
            one.ttl = ttl
        one.touch(self.clock())
        self.remember_horizon()
        assert held.last_access == one.last_access
        assert not held.changed_fields

    def change_data(self, handle: int, changes: dict[str, Any], deleted: list[str]) -> None:
        if (held := self.held[handle]) is None:
            return
        one = self.live().get(held.session_id)
        if one is None:
            with raises(SessionGone):
                held.set(changes)
            with raises(SessionGone):
                held.delete(*deleted)
            return
        assert held.set(changes) == len(changes)
        one.data.update(changes)
        assert held.delete(*deleted) == sum(key in one.data for key in set(deleted))
        for key in deleted:
            one.data.pop(key, None)

    def read_data(self, handle: int, keys: list[str]) -> None:
        if (held := self.held[handle]) is None:
            return
        one = self.live().get(held.session_id)
        if one is None:
            with raises(SessionGone):
                held.get(keys)
            with raises(SessionGone):
                held.get_all()
            return
        assert held.get(keys, 0) == [one.data.get(key, 0) for key in keys]
        assert held.get(dict.fromkeys(keys, "none")) == {key: one.data.get(key, "none") for key in keys}
        assert held.get_all() == one.data

    def rotate(self, handle: int, retired: int, user: str | None, *, ttl: float | None, fields: dict[str, Any]) -> None:
        """Rotate what *handle* holds; what it held goes to *retired*. With a user it is a sign-in."""
        self.held[retired] = held = self.held[handle]
        if held is None:
            return
        arguments: dict[str, Any] = {"ttl": ttl, **fields} | ({} if user is None else {"user_id": user})
        one, now = self.live().get(held.session_id), self.clock()
        moves = user is not None and user_shard(user.encode(), self.manager.shards) != shard_number(held.session_id)
        others, excess = self._excess(user, besides=held.session_id)
        if one is None and not (moves and held.has_data):
            with raises(SessionGone):
                self.manager.rotate(held, **arguments)
            return
        if self._refused(excess):
            with raises(SessionLimitReached):
                self.manager.rotate(held, **arguments)
            return
        if one is None:  # across shards room is made first
            with raises(SessionGone):
                self.manager.rotate(held, **arguments)
            self._evict(others, excess)
            tried = held.ttl if ttl is None else ttl  # of the session that was there for a moment
            self.horizon = max(self.horizon, tried + max(60.0, tried))
            return
        successor = replace(one, ttl=one.ttl if held.changed_ttl is None else held.changed_ttl)
        successor.fields = one.fields | held.changed_fields
        if moves and held.has_data:  # only what this process knows goes with it
            successor.data, successor.fields, successor.ttl = dict(held.data), held.fields, held.ttl
        elif moves:
            successor.ttl = held.ttl
        session = self.manager.rotate(held, **arguments)
        assert session.session_id == session_id_of(session.token) != held.session_id
        assert not held.valid
        self._evict(others, excess)
        self._end(one.session_id, EventKind.ROTATED, EventReason.ROTATED)
        successor.session_id = session.session_id
        successor.last_access = now if moves else max(now, one.last_access)
        successor.ttl = successor.ttl if ttl is None else ttl
        successor.fields = successor.fields | fields
        if user is not None:
            lifetime = self.manager.max_lifetime
            if successor.deadline < math.inf:  # one of its own, which starts anew
                own = round(successor.deadline - (one.authenticated_at or one.created), 6)
                lifetime = min(own, lifetime or own)
            successor.user, successor.authenticated_at = user, now
            successor.deadline = now + lifetime if lifetime else math.inf
        self._begin(successor)
        self.compare(session)
        self.held[handle] = session

    def kill(self, handle: int, owner: str | None) -> None:
        if (held := self.held[handle]) is None:
            return
        one = self.live().get(held.session_id)
        expected = one is not None and owner in {None, one.user}
        assert self.manager.kill(held.session_id, user_id=owner) is expected
        if expected:
            self._end(held.session_id, EventKind.KILLED, EventReason.KILLED)

    def kill_held(self, handle: int) -> None:
        if (held := self.held[handle]) is None:
            return
        expected = held.session_id in self.live()
        assert held.kill() is expected
        assert not held.valid
        if expected:
            self._end(held.session_id, EventKind.KILLED, EventReason.KILLED)

    def kill_user(self, user: str, keep: Iterable[int]) -> None:
        kept = [held.session_id for handle in keep if (held := self.held[handle]) is not None]
        ended = self._created_by_now(user) - set(kept)
        assert self.manager.kill_user(user, keep=kept) == len(ended)
        for session_id in ended:
            self._end(session_id, EventKind.KILLED, EventReason.USER_KILLED)

    def kill_all(self) -> None:
        ended = self._created_by_now()
        assert self.manager.kill_all() == len(ended)
        for session_id in ended:
            self._end(session_id, EventKind.KILLED, EventReason.ALL_KILLED)

    def oldest(self, user: str, handle: int, *, touch: bool) -> None:
        """Ask for a user's oldest session, and hold it under *handle*."""
        found, mine = self.manager.get_oldest_user_session(user, touch=touch), self.live(user)
        self.held[handle] = found
        if not mine:
            assert found is None
            return
        assert found is not None
        assert mine[found.session_id].last_access == min(one.last_access for one in mine.values())
        self._looked(found, found.session_id, touch=touch)

    # Looks

    def count(self, secs: float) -> None:
        accesses = {session_id: one.last_access for session_id, one in self.live().items()}
        assert self.manager.count(secs) == len(self._recent(accesses, secs))

    def count_users(self, secs: float) -> None:
        assert self.manager.count_users(secs) == len(self._recent(self.users(), secs))

    def count_for_user(self, user: str, secs: float) -> None:
        accesses = {session_id: one.last_access for session_id, one in self.live(user).items()}
        assert self.manager.count_for_user(user, secs) == len(self._recent(accesses, secs))

    def list_all(self, secs: float) -> None:
        accesses = {session_id: one.last_access for session_id, one in self.live().items()}
        self.compare_ranked(self.manager.get_all_sessions(secs), self._recent(accesses, secs))

    def list_users(self, secs: float) -> None:
        self.compare_ranked(self.manager.get_all_users(secs), self._recent(self.users(), secs))

    def list_for_user(self, user: str, secs: float, handle: int) -> None:
        """List a user's sessions both ways, and hold one of them, without its data, under *handle*."""
        scores = self._recent({session_id: one.last_access for session_id, one in self.live(user).items()}, secs)
        self.compare_ranked(self.manager.get_user_sessions(user, secs), scores)
        sessions = self.manager.list_user_sessions(user, secs)
        self.compare_ranked([session.session_id for session in sessions], scores)
        for session in sessions:
            self.compare(session, data=False)
            assert session.token is None
        self.held[handle] = sessions[0] if sessions else None

    def iterate(self, secs: float) -> None:
        found = list(self.manager.iter_sessions(secs))
        accesses = {session_id: one.last_access for session_id, one in self.live().items()}
        assert sorted(session.session_id for session in found) == sorted(self._recent(accesses, secs))
        for session in found:
            self.compare(session, data=False)
        assert sorted(self.manager.iter_users(secs)) == sorted(self._recent(self.users(), secs))

    def look(self, secs: float = 0) -> None:
        """Compare every number and list of the namespace."""
        self.count(secs)
        self.count_users(secs)
        self.list_all(secs)
        self.list_users(secs)
        self.iterate(secs)

    def verify(self, repair: bool = False) -> None:
        """Compare what is stored with itself: nothing differs, whatever was done."""
        found, live = self.manager.verify(repair=repair), self.live()
        assert (found.sessions, found.users, found.repaired) == (len(live), len(self.users()), repair)
        early = found.early if self.went_back else 0  # Redis counts down from what the clock said before
        assert found.drift == early, found

    def look_first(self, how: str) -> None:
        """Look in one way only at what is held, before anything else looks."""
        if how == "iterate":
            self.iterate(0)
        elif how in {"list_for_user", "oldest"}:
            for user in {one.user for one in self.sessions.values() if one.user is not None}:
                if how == "oldest":
                    self.oldest(user, -1, touch=False)
                else:
                    self.list_for_user(user, 0, -1)
        else:
            options: dict[str, dict[str, Any]] = {
                "authenticate": {"touch": False, "hold": False},
                "read_data": {"keys": ["k"]},
                "write": {"ttl": None, "fields": {}},
            }
            for handle in [handle for handle, held in self.held.items() if held is not None]:
                getattr(self, how)(handle, **options.get(how, {}))

    def look_at_keys(self) -> None:
        """Every key goes by itself in time, none before its sessions do; immortal ones hold theirs."""
        kept = {key: self.raw.pttl(key) for key in self.raw.scan_iter(match=f"{{{self.manager.namespace}:*")}
        held, shards = set[bytes](), set[bytes]()
        for one in self.live().values():
            keys = self._keys_of(one)
            assert keys <= kept.keys()
            if one.expires == math.inf:
                held |= keys
                shards.add(self._prefix(one.shard) + b"users")
            elif not self.went_back:
                left = (one.expires - self.clock()) * 1000
                assert all(kept[key] == -1 or kept[key] >= left for key in keys)
        for key, left in kept.items():
            if key in held:
                assert left == -1, f"{key!r} of an immortal session has an expiry"
            elif not (key in shards and left == -1):  # the users of a shard with an anonymous immortal session
                assert 0 <= left <= self.horizon * 1000 + _ROUNDING, f"{key!r} is kept for {left} ms"

    def _keys_of(self, one: Modelled) -> set[bytes]:
        prefix = self._prefix(one.shard)
        mine = set() if one.user is None else {prefix + b"users", prefix + b"u:" + one.user.encode()}
        return mine | {prefix + name for name in (b"activity", b"expiry", b"s:" + one.session_id.encode())}

    def _prefix(self, shard: str) -> bytes:
        return b"{%b:%d}:" % (self.manager.namespace.encode(), shard_number("s" + shard))

    # The end of a story

    def finish(self) -> None:
        """End every session: nothing is left, and each end was told once."""
        self.verify()
        self.look()
        self.look_at_keys()
        self.clock.set(max([self.clock(), *(one.created for one in self.live().values())]))
        self.kill_all()
        self.settle()
        self.look()
        left = [key for key in self.raw.scan_iter(match=f"{{{self.manager.namespace}*") if not self._is_tombstone(key)]
        assert left == [b"{%b}:layout" % self.manager.namespace.encode()]
        assert len(self.raw.get(left[0])) <= LAYOUT_BYTES
        ends = [event for event in self.told() if event.kind is not EventKind.CREATED and not _undone(event)]
        assert {event.session_id: (event.kind, event.reason) for event in ends} == self.ends
        assert len(ends) == len(self.ends)

    def _is_tombstone(self, key: bytes) -> bool:
        """Tell what stays for a moment of a session that a sign-in moved to another shard."""
        return b":s:" in key and self.raw.hget(key, "s") == b"2" and 0 <= self.raw.pttl(key) <= TOMBSTONE_MS

    def told(self) -> list[SessionEvent]:
        """Give the events so far."""
        return told(self.raw, self._events, self.manager.event_channels())

    def close(self) -> None:
        self._events.close()


def told(client: Any, subscription: Any, channels: list[bytes]) -> list[SessionEvent]:
    """Give the events on *channels* so far, to which *subscription* listens."""
    for channel in channels:  # each by the node of a cluster that its events come from, so that it comes after them
        client.eval("return redis.call('PUBLISH', KEYS[1], 'end')", 1, channel)
    found, ends = list[SessionEvent](), 0
    while ends < len(channels):
        message = subscription.get_message(timeout=10)
        if message is not None and message["data"] == b"end":
            ends += 1
        elif message is not None:
            found.append(read_event(message["data"]))
    return found


def _undone(event: SessionEvent) -> bool:
    """Whether it was a move across shards whose session turned out to be dead."""
    return event.kind is EventKind.KILLED and event.reason is EventReason.ROTATED


def plant(client: redis.Redis, manager: Any, user_ids: Iterable[str | None], **options: Any) -> list[str]:
    """Create many sessions at once, by the scripts that `create` runs; give their ids."""
    plans, pipeline = unwrap(manager), client.pipeline(transaction=False)
    manager.now()  # the namespace's record
    client.script_load(script("create").source)
    ids: list[str] = []
    for user_id in user_ids:
        token = plans.new_token(user_id)
        ids.append(session_id_of(token))
        planned = next(plans.plan_create(token, user_id, {}, **options))
        pipeline.execute_command("EVALSHA", planned.script.sha, len(planned.keys), *planned.keys, *planned.args)
    replies = pipeline.execute()
    assert all(reply[0] == b"live" for reply in replies)
    return ids


def shard_number(handle: str) -> int:
    """Read the shard's number out of a token or session id."""
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    return digits.index(handle[1]) * 32 + digits.index(handle[2])


@contextmanager
def raises(kind: type[Exception]) -> Iterator[None]:
    """Expect an error of exactly this kind."""
    try:
        yield
    except kind as error:
        assert type(error) is kind  # noqa: PT017  a subclass would be another error
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
