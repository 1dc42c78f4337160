"""Plans of what is done to one session: which script, which keys, which arguments, how to read the reply."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from redisess_core import tokens
from redisess_core.config import (
    MAX_CLIENT_LENGTH,
    Options,
    check_handle,
    check_seconds,
    check_text,
)
from redisess_core.errors import SessionGone, SessionLimitReached
from redisess_core.events import EventReason
from redisess_core.keys import ShardKeys
from redisess_core.operation import Operation, Plan, Steps
from redisess_core.record import DATA, FIELD, Changes, check_keys, encode_fields, measure, pairs, read_time, too_large
from redisess_core.scripts import script
from redisess_core.session_state import SessionState
from redisess_core.steps import More, nothing, until_done

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

S = TypeVar("S", bound=SessionState)
T = TypeVar("T")

_META: Final = (b"u", b"c", b"a", b"l", b"t", b"d", b"i", b"g")  # what a list shows, beside additional fields


class SessionPlans(Generic[S]):
    """What operations, sessions and the web layer plan with."""

    session_class: type[S]
    store: Any

    def __init__(self, options: Options) -> None:
        self.options = options
        self.namespace: Final = options.namespace
        self.additional_fields: Final = options.additional_fields
        self.ttl: Final = check_seconds("ttl", options.ttl)
        self.max_lifetime: Final = (
            None if options.max_lifetime is None else check_seconds("max_lifetime", options.max_lifetime)
        )
        self.touch_interval: Final = options.touch_interval
        self.max_sessions_per_user: Final = options.max_sessions_per_user
        self.on_limit: Final = options.on_limit
        self.record_client: Final = options.record_client
        self.max_data_bytes: Final = options.max_data_bytes
        self.shards: Final = options.shards
        self.clock: Final = options.clock
        self._interval = repr(float(options.touch_interval)).encode()
        self._ttl = repr(float(options.ttl)).encode()
        self._shards = [ShardKeys(options.namespace, number) for number in range(options.shards)]
        self._listed = (*_META, *(FIELD + name.encode() for name in options.additional_fields))

    def new_token(self, user_id: str | None, beside: str | None = None) -> str:
        """Make a token in the shard of *user_id*; for an anonymous session in that of session *beside*, or any."""
        if user_id is not None:
            return tokens.new_token(self._user_shard(user_id).number)
        shard = self._shard_of(beside) if beside is not None else None
        return tokens.new_token(shard.number if shard else tokens.random_shard(self.shards))

    def encode_declared(self, fields: Mapping[str, Any]) -> Changes:
        """Encode additional fields; an undeclared one is a `TypeError`."""
        for name in fields:
            if name not in self.additional_fields:
                declared = ", ".join(self.additional_fields) or "none"
                raise TypeError(f"{name!r} is neither an argument nor one of additional_fields ({declared})")
        return encode_fields(fields)

    def event_channels(self) -> list[bytes]:
        """Return the channels that the scripts publish on, one a shard."""
        return [shard.events for shard in self._shards]

    def clock_argument(self) -> bytes:
        """Return what scripts take for the time: that of the `clock`, or nothing for the server's."""
        if self.clock is None:
            return b""
        now = float(self.clock())
        if not math.isfinite(now):
            raise ValueError(f"clock: {now} given, seconds since the epoch wanted")
        return repr(now).encode()

    def plan_now(self) -> Plan[float]:
        """Plan to ask for the time by which sessions live."""
        if self.clock is not None:
            return nothing(float(self.clock()))
        return Operation(script("now"), self._shards[0].indexes, ("",), float)

    def session_keys(self, session_id: str) -> tuple[bytes, ...]:
        """Return the keys of a script about one session; its shard is part of the id."""
        shard = self._shards[tokens.shard_of(session_id)]
        return (*shard.indexes, shard.session(session_id))

    def acting_keys(self, acting: str | None) -> tuple[bytes, ...]:
        """Return the key by which a script sees whether the session that asks for something lives."""
        return () if acting is None else self.session_keys(acting)[-1:]

    def plan_create(
        self,
        token: str,
        user_id: str | None,
        changes: Changes,
        *,
        ttl: float | None = None,
        max_lifetime: float | None = None,
        deadline: float | None = None,
        instead_of: SessionState | None = None,
        authenticated_at: float | None = None,
        once: int | None = None,
    ) -> Steps[S]:
        """Plan a session for *token*; *instead_of* another, whose data may stay as large as it is.

        *deadline*: when it ends at the latest, in seconds since the epoch; `math.inf`: as its max lifetime says.
        *authenticated_at*: when its user signed in, if that is not now; 0: unknown. *once*: for so many seconds no
        other is created for this token, whatever becomes of this one: that is a `SessionGone`, also while it lives.
        """
        created, largest = None, self.max_data_bytes
        if instead_of is not None:
            created, own = instead_of.created, None if deadline is not None else instead_of.own_lifetime
            max_lifetime = min(own, self.max_lifetime or own) if own else None
            largest = max(largest, int(instead_of.stored_fields.get(b"n") or 0))
        if authenticated_at is not None:
            changes = {**changes, b"a": repr(float(authenticated_at)).encode()}
        ttl = self.ttl if ttl is None else check_seconds("ttl", ttl)
        lifetime = (self.max_lifetime or 0) if max_lifetime is None else check_seconds("max_lifetime", max_lifetime)
        stored = [(name, value) for name, value in changes.items() if value is not None]
        size = measure(stored, largest)
        session_id = tokens.session_id_of(token)

        def decode(reply: list[Any]) -> S:
            self.refuse(reply, user_id)
            if reply[0] == b"before":
                raise SessionGone(session_id)
            now = reply[1]
            found = {b"now": now, b"c": now, b"l": now, b"t": repr(ttl).encode(), **changes}
            if created is not None:
                found[b"c"] = repr(created).encode()
            if user_id is not None:
                found = {b"a": now, **found, b"u": user_id.encode()}
            ends = min(math.inf if deadline is None else deadline, read_time(now) + lifetime if lifetime else math.inf)
            if ends < math.inf:
                found[b"d"] = repr(ends).encode()
            return self.session_class(self, session_id, token, found)

        args = (
            self.clock_argument(),
            session_id,
            (user_id or "").encode(),
            ttl,
            lifetime,
            self.max_sessions_per_user or 0,
            self.on_limit,
            "" if created is None else created,
            "" if deadline in (None, math.inf) else deadline,
            size,
            "" if once is None else once,
            *(part for pair in stored for part in pair),
        )
        keys = self.session_keys(session_id)
        if once is not None:
            keys += (self._shards[tokens.shard_of(session_id)].once(session_id),)
        return until_done(Operation(script("create"), keys, args, decode))

    def plan_authenticate(self, token: str, *, touch: bool = True) -> Operation[S | None]:
        """Plan the opening of the session that a well-formed *token* names."""
        session_id = tokens.session_id_of(token)

        def decode(reply: list[Any]) -> S | None:
            return self.session_class(self, session_id, token, pairs(reply)) if reply else None

        return self.plan_open(session_id, touch=touch, decode=decode)

    def plan_open(self, session_id: str, *, touch: bool, decode: Callable[[list[Any]], T]) -> Operation[T]:
        """Plan the reading of a whole session."""
        args = (self.clock_argument(), self._interval if touch else b"", self._ttl)
        return Operation(script("open"), self.session_keys(session_id), args, decode)

    def plan_exists(self, session_id: str) -> Operation[bool]:
        """Plan to see whether a session lives."""
        keys, args = self.session_keys(session_id), (self.clock_argument(), session_id, self._ttl)
        return Operation(script("exists"), keys, args, lambda reply: reply[0] == b"live")

    def plan_store(
        self,
        session_id: str,
        changes: Changes,
        *,
        ttl: float | None = None,
        deadline: float | None = None,
        touch: bool = False,
        end_but_for: Collection[str] | None = None,
        decode: Callable[[list[Any]], T],
    ) -> Operation[T]:
        """Plan a write of changed fields of the hash, and only those.

        *deadline*: a new absolute one, in seconds since the epoch; `math.inf`: none. With *end_but_for*, an anonymous
        session that is left with no data but under these keys ends.
        """
        args = (
            self.clock_argument(),
            session_id,
            "touch" if touch else "" if end_but_for is None else "end",
            "" if ttl is None else ttl,
            self.max_data_bytes,
            self._ttl,
            "" if deadline is None else deadline,
            len(end_but_for or ()),
            *(DATA + key.encode() for key in end_but_for or ()),
            *_change_arguments(changes),
        )
        return Operation(script("store"), self.session_keys(session_id), args, decode)

    def plan_rotate(
        self,
        session: SessionState,
        token: str,
        changes: Changes,
        *,
        user_id: str | None = None,
        ttl: float | None = None,
        deadline: float | None = None,
        fresh: bool = False,
    ) -> Steps[S]:
        """Plan a new token for *session*; *fresh* ends it, and puts a new one in its place.

        A sign-in may leave it the token that it has. *deadline* as in `plan_create`.
        """
        if ttl is not None:
            check_seconds("ttl", ttl)
        elif fresh:
            ttl = self.ttl
        old, new = self._shard_of(session.session_id), tokens.session_id_of(token)
        if old is None:
            raise ValueError(f"session: one of a namespace with more shards given, one of {self.namespace!r} wanted")
        if tokens.token_shard(token, self.shards) != old.number:
            return self._move(session, token, changes, cast("str", user_id), ttl=ttl, deadline=deadline, fresh=fresh)

        def decode(reply: list[Any]) -> S:
            if not reply:
                session.mark_gone()
                raise SessionGone(session.session_id)
            self.refuse(reply, user_id)
            session.mark_gone()
            return self.session_class(self, new, token, pairs(reply))

        args = (
            self.clock_argument(),
            session.session_id,
            new,
            (user_id or "").encode(),
            "" if ttl is None else ttl,
            self.max_lifetime or 0,
            self.max_sessions_per_user or 0,
            self.on_limit,
            "fresh" if fresh else "",
            self.max_data_bytes,
            self._ttl,
            "" if deadline is None else deadline,
            *_change_arguments(changes),
        )
        keys = (*old.indexes, old.session(session.session_id), old.session(new))
        return until_done(Operation(script("rotate"), keys, args, decode))

    def plan_kill(
        self,
        session_id: str,
        *,
        owner: str | None = None,
        reason: EventReason = EventReason.KILLED,
        successor: SessionState | None = None,
        acting: str | None = None,
    ) -> Operation[bool]:
        """Plan the end of one session; *acting* is the session of its shard that asks for it, which has to live."""

        def decode(reply: list[Any]) -> bool:
            refuse_dead(reply, acting)
            return bool(reply[0] == b"killed")

        takes_its_place = ("", b"") if successor is None else (successor.session_id, (successor.user_id or "").encode())
        args = (self.clock_argument(), session_id, reason.value, self._ttl, (owner or "").encode(), *takes_its_place)
        keys = (*self.session_keys(session_id), *self.acting_keys(acting))
        return Operation(script("kill"), keys, args, decode)

    def plan_kill_own(self, session_id: str, acting: SessionState) -> Plan[bool]:
        """Plan the end of a session of *acting*'s user, who asks for it: nothing if it is another's."""
        if not session_id or self._shard_of(session_id) is not self._shard_of(acting.session_id):
            return nothing(False)
        return self.plan_kill(session_id, owner=acting.user_id, acting=acting.session_id)

    def plan_kill_for(self, session_id: str, acting: str | None) -> Steps[bool]:
        """Plan the end of anybody's session; *acting* is the session that asks for it, of any shard, or nobody's."""
        checked = yield from self._checked(acting, self._shard_of(session_id))
        ended: bool = yield self.plan_kill(session_id, acting=checked)
        return ended

    def _checked(self, acting: str | None, shard: ShardKeys | None) -> Steps[str | None]:
        """Return *acting* for the scripts of its own shard; those of another cannot see whether it lives: look now."""
        if acting is None or self._shard_of(acting) is shard:
            return acting
        if not (yield self.plan_exists(acting)):
            raise SessionGone(acting)
        return None

    def _move(
        self,
        session: SessionState,
        token: str,
        changes: Changes,
        user_id: str,
        *,
        ttl: float | None,
        deadline: float | None,
        fresh: bool,
    ) -> Steps[S]:
        """Sign in across shards: the new session is created from what was loaded, then the old one killed."""
        loaded: Any = session
        if not loaded.has_data and not fresh:
            loaded = yield self.plan_open(
                session.session_id, touch=False, decode=lambda reply: self._opened(reply, session.session_id)
            )
            if loaded is None:
                session.mark_gone()
                raise SessionGone(session.session_id)
        carried: Changes = {} if fresh else loaded.carried_fields
        moved = yield from self.plan_create(
            token,
            user_id,
            {**carried, **changes},
            ttl=session.ttl if ttl is None else ttl,
            deadline=deadline,
            instead_of=None if fresh else loaded,
        )
        reason = EventReason.LOGOUT if fresh else EventReason.ROTATED
        killed = yield self.plan_kill(session.session_id, reason=reason, successor=moved)
        session.mark_gone()
        if not killed:  # it died meanwhile, and dead stays dead
            yield self.plan_kill(moved.session_id, reason=EventReason.ROTATED)
            raise SessionGone(session.session_id)
        return moved

    def _opened(self, reply: list[Any], session_id: str) -> S | None:
        return self.session_class(self, session_id, None, pairs(reply)) if reply else None

    def refuse(self, reply: list[Any], user_id: str | None) -> None:
        """Raise what a script says instead of what was asked of it."""
        match reply[0]:
            case b"more":
                raise More
            case b"full":
                raise SessionLimitReached(user_id or "", self.max_sessions_per_user or 0)
            case b"large":
                raise too_large(reply, self.max_data_bytes)
            case _:
                return

    def _user_shard(self, user_id: str) -> ShardKeys:
        return self._shards[tokens.user_shard(user_id.encode(), self.shards)]

    def _shard_of(self, session_id: str) -> ShardKeys | None:
        number = tokens.session_shard(check_handle("session_id", session_id), self.shards)
        return None if number is None else self._shards[number]


def refuse_dead(reply: list[Any], acting: str | None) -> None:
    """Raise `SessionGone` where a script did nothing because the session that asked for it is dead."""
    if acting is not None and reply[0] == b"refused":
        raise SessionGone(acting)


def client_changes(ip: str | None, user_agent: str | None) -> Changes:
    """Encode where a session's client is, as fields of the hash."""
    found = {b"i": check_text("ip", ip), b"g": check_text("user_agent", user_agent)}
    return {name: text[:MAX_CLIENT_LENGTH].encode("utf-8", "replace") for name, text in found.items() if text}


def _change_arguments(changes: Changes) -> tuple[int | bytes, ...]:
    """Return changes as the scripts take them: how many to delete, their names, then name, value by turns."""
    check_keys(sum(value is not None and name[:2] == DATA for name, value in changes.items()))
    deleted = [name for name, value in changes.items() if value is None]
    stored = [part for name, value in changes.items() if value is not None for part in (name, value)]
    return (len(deleted), *deleted, *stored)
