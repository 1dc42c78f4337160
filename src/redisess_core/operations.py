"""Every operation of a manager, planned: which script, which keys, which arguments, and how to read the reply."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from redisess_core import tokens
from redisess_core.config import (
    MAX_CLIENT_LENGTH,
    Options,
    UserId,
    check_handle,
    check_seconds,
    check_text,
    check_user_id,
)
from redisess_core.errors import SessionDataTooLarge, SessionGone, SessionLimitReached
from redisess_core.events import EventReason
from redisess_core.keys import ShardKeys
from redisess_core.operation import (
    PAUSE,
    Argument,
    Iteration,
    Operation,
    Page,
    Plan,
    Steps,
    Together,
    iteration,
    operation,
)
from redisess_core.record import FIELD, Changes, data_size, encode_data, encode_fields, pairs
from redisess_core.scripts import script
from redisess_core.session import AsyncSession, Session, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

S = TypeVar("S", bound=SessionState)
T = TypeVar("T")

SESSIONS_PAGE: Final = 100  # sessions that one script reads whole
MEMBERS_PAGE: Final = 900  # ids that one script reads
_META: Final = (b"u", b"c", b"a", b"l", b"t", b"d", b"i", b"g")  # what a list shows, beside additional fields
_KEEP: Final[Any] = ...  # the user stays who it is
_Cursor = tuple[bytes, bytes]
_START: Final[_Cursor] = (b"", b"")
_END: Final = b""


class SessionOperations(Generic[S]):
    """What both managers can do. Times are in seconds since the epoch, durations in seconds."""

    session_class: type[S]
    store: Any

    def __init__(self, options: Options) -> None:
        self.options = options
        self.namespace: Final = options.namespace
        self.additional_fields: Final = options.additional_fields
        self.ttl: Final = options.ttl
        self.max_lifetime: Final = options.max_lifetime
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

    # One session

    @operation
    def create(
        self,
        /,
        user_id: UserId | None,
        *,
        ttl: float | None = None,
        max_lifetime: float | None = None,
        data: Mapping[str, Any] | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        **fields: Any,
    ) -> Steps[S]:
        """Create a session of *user_id* (None: anonymous), with room made for it under the user's limit.

        *ttl* and *max_lifetime* are the manager's where None is given, and none where 0 is. Raises
        `SessionLimitReached`, `SessionDataTooLarge`, and `TypeError` for an undeclared field or a value that cannot
        be stored: of these, nothing is stored.
        """
        user = None if user_id is None else check_user_id(user_id)
        changes = {
            **encode_data({} if data is None else data),
            **self.encode_declared(fields),
            **client_changes(ip, user_agent),
        }
        return self.plan_create(self.new_token(user), user, changes, ttl=ttl, max_lifetime=max_lifetime)

    @operation
    def authenticate(self, token: str, *, touch: bool = True) -> Plan[S | None]:
        """Return the live session that *token* names, with its data loaded; None if there is none.

        A malformed token never reaches Redis. One script, O(fields); a touch, O(log sessions).
        """
        if tokens.token_shard(check_handle("token", token), self.shards) is None:
            return _nothing(None)
        return self.plan_authenticate(token, touch=touch)

    @operation
    def get(self, session_id: str, *, touch: bool = True) -> Plan[S | None]:
        """Return the live session of this id, with its data loaded; None if there is none.

        It touches: pages and tools that only look pass `touch=False`.
        """
        if self._shard_of(session_id) is None:
            return _nothing(None)
        return self.plan_open(session_id, touch=touch, decode=lambda reply: self._opened(reply, session_id))

    @operation
    def exists(self, session_id: str) -> Plan[bool]:
        """Whether *session_id* names a live session."""
        if self._shard_of(session_id) is None:
            return _nothing(False)
        keys, args = self.session_keys(session_id), (self.clock_argument(), session_id, self._ttl)
        return Operation(script("exists"), keys, args, lambda reply: reply[0] == b"live")

    @operation
    def rotate(self, /, session: S, *, user_id: UserId = _KEEP, ttl: float | None = None, **fields: Any) -> Steps[S]:
        """Give *session* a new token and id, with the same data; the old token is dead at once.

        With *user_id* it is a sign-in: the session becomes that user's, and `authenticated_at` and the absolute
        deadline start anew; without, both stay. Atomic, but for a sign-in that changes the shard: there the new
        session is created, then the old one killed. Raises `SessionGone`, `SessionLimitReached`.
        """
        if not isinstance(session, self.session_class):
            raise TypeError(f"session: {type(session).__name__} given, a {self.session_class.__name__} wanted")
        user = None if user_id is _KEEP else check_user_id(user_id)
        changes = {**encode_fields(session.changed_fields), **self.encode_declared(fields)}
        token = self.new_token(session.user_id if user is None else user, beside=session.session_id)
        return self.plan_rotate(session, token, changes, user_id=user, ttl=session.changed_ttl if ttl is None else ttl)

    @operation
    def kill(self, session_id: str, *, user_id: UserId | None = None) -> Plan[bool]:
        """End a session, at once and for good; return whether there was one.

        With *user_id*: only if it is that user's, which the script checks.
        """
        owner = None if user_id is None else check_user_id(user_id)
        if self._shard_of(session_id) is None:
            return _nothing(False)
        return self.plan_kill(session_id, owner=owner)

    # One user

    @operation
    def count_for_user(self, user_id: UserId, secs: float = 0) -> Steps[int]:
        """Count a user's live sessions; with *secs*, those accessed in the last so many seconds."""
        user = check_user_id(user_id)
        shard = self._user_shard(user)
        return self._count(shard, shard.user(user.encode()), check_seconds("secs", secs))

    @operation
    def get_user_sessions(self, user_id: UserId, secs: float = 0) -> Steps[list[str]]:
        """List the ids of a user's live sessions, most recently accessed first."""
        user = check_user_id(user_id)
        shard = self._user_shard(user)
        return _ranked([self._members(shard, shard.user(user.encode()), check_seconds("secs", secs))])

    @operation
    def list_user_sessions(self, user_id: UserId, secs: float = 0) -> Steps[list[S]]:
        """List a user's live sessions, without their data, most recently accessed first; nothing is touched.

        One round trip for each hundred.
        """
        user = check_user_id(user_id)
        shard = self._user_shard(user)
        check_seconds("secs", secs)

        def steps() -> Steps[list[S]]:
            found: dict[str, S] = {}
            after = _START
            while True:
                sessions, after = yield self._sessions(shard, shard.user(user.encode()), user, secs, after)
                for session in sessions:
                    found.pop(session.session_id, None)
                    found[session.session_id] = session
                if after[1] == _END:
                    return sorted(found.values(), key=lambda session: session.last_access, reverse=True)

        return steps()

    @operation
    def get_oldest_user_session(self, user_id: UserId, *, touch: bool = True) -> Steps[S | None]:
        """Return the user's session whose last access is longest ago, with its data loaded; None if there is none."""
        user = check_user_id(user_id)
        shard = self._user_shard(user)

        def decode(reply: list[Any]) -> S | None:
            if not reply:
                return None
            if reply[0] == b"more":
                raise _More
            session_id = reply.pop().decode()
            return self.session_class(self, session_id, None, pairs(reply))

        args = (self.clock_argument(), user.encode(), self._interval if touch else b"")
        return _until_done(Operation(script("oldest"), (*shard.indexes, shard.user(user.encode())), args, decode))

    @operation
    def kill_user(self, user_id: UserId, *, keep: str | Iterable[str] | None = None) -> Steps[int]:
        """End a user's sessions that were created before the call; return how many. *keep*: ids to leave alive.

        In slices of at most 50, each atomic, with a pause as long as the slice between them.
        """
        user = check_user_id(user_id)
        kept = [] if keep is None else [keep] if isinstance(keep, str) else list(keep)
        for session_id in kept:
            if self._shard_of(session_id) is None:
                raise ValueError("keep: something given that has not the form of a session id")
        shard = self._user_shard(user)
        return self._kill_many(shard, shard.user(user.encode()), user, reason=EventReason.USER_KILLED, keep=kept)

    # The namespace

    @operation
    def count(self, secs: float = 0) -> Steps[int]:
        """Count live sessions; with *secs*, those accessed in the last so many seconds (`touch_interval` may lag)."""
        check_seconds("secs", secs)
        return _summed([self._count(shard, shard.activity, secs) for shard in self._shards])

    @operation
    def count_users(self, secs: float = 0) -> Steps[int]:
        """Count users with a live session; with *secs*, those active in the last so many seconds."""
        check_seconds("secs", secs)
        return _summed([self._count(shard, shard.users, secs) for shard in self._shards])

    @operation
    def get_all_sessions(self, secs: float = 0) -> Steps[list[str]]:
        """List the ids of all live sessions, most recently accessed first.

        Read in pages: complete for what lives throughout, not a snapshot.
        """
        check_seconds("secs", secs)
        return _ranked([self._members(shard, shard.activity, secs) for shard in self._shards])

    @operation
    def get_all_users(self, secs: float = 0) -> Steps[list[str]]:
        """List the users with at least one live session, most recently active first; read in pages."""
        check_seconds("secs", secs)
        return _ranked([self._members(shard, shard.users, secs) for shard in self._shards])

    @iteration
    def iter_sessions(self, secs: float = 0) -> Iteration[S]:
        """Iterate over live sessions, without their data, in no order, by pages: what lives throughout comes.

        A session that is accessed meanwhile can come twice. Nothing is touched.
        """
        check_seconds("secs", secs)

        def steps() -> Iteration[S]:
            for shard in self._shards:
                after = _START
                while True:
                    sessions, after = yield self._sessions(shard, shard.activity, "", secs, after)
                    yield Page(sessions)
                    if after[1] == _END:
                        break

        return steps()

    @iteration
    def iter_users(self, secs: float = 0) -> Iteration[str]:
        """Iterate over the ids of users with a live session, in no order, by pages: who stays throughout comes.

        A user who is active meanwhile can come twice.
        """
        check_seconds("secs", secs)

        def steps() -> Iteration[str]:
            for shard in self._shards:
                after = _START
                while True:
                    members, after = yield from self._members_page(shard, shard.users, secs, after)
                    yield Page([member.decode() for member in members])
                    if after[1] == _END:
                        break

        return steps()

    @operation
    def kill_all(self) -> Steps[int]:
        """End every session of this namespace that was created before the call; return how many.

        In slices of at most 50, each atomic, with a pause as long as the slice between them.
        """

        def steps() -> Steps[int]:
            called = b""  # the first slice says when, but for all shards it has to be the same time
            if self.shards > 1:
                called = repr((yield from as_steps(self.planned("now")))).encode()
            ended, again = 0, False
            while True:
                plans = [
                    self._kill_many(shard, shard.activity, "", reason=EventReason.ALL_KILLED, called=called)
                    for shard in self._shards
                ]
                found = yield from _summed(plans)
                ended += found
                if self.shards == 1 or (again and not found):
                    return ended
                again = True  # for what a sign-in moved to a shard that was done

        return steps()

    @operation
    def wipe(self) -> Steps[int]:
        """Remove what is left of expired sessions; return how many. Nobody has to call it."""

        def shard_steps(shard: ShardKeys) -> Steps[int]:
            removed = 0
            while True:
                reply: list[Any] = yield Operation(script("wipe"), shard.indexes, (self.clock_argument(),), list)
                removed += int(reply[1])
                if reply[0] == b"done":
                    return removed
                yield PAUSE

        return _summed([shard_steps(shard) for shard in self._shards])

    @operation
    def now(self) -> Plan[float]:
        """Return the time, in seconds since the epoch, by which sessions live: the server's, or the `clock`'s."""
        if self.clock is not None:
            return _nothing(float(self.clock()))
        return Operation(script("now"), self._shards[0].indexes, ("",), float)

    # What the operations above, sessions and the web layer plan with

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

    def planned(self, name: str, *args: Any, **kwargs: Any) -> Plan[Any]:
        """Plan an operation by its name, to take it as a step of another plan."""
        return cast("Plan[Any]", vars(SessionOperations)[name].plan(self, *args, **kwargs))

    def event_channels(self) -> list[bytes]:
        """Return the channels that the scripts publish on, one a shard."""
        return [shard.events for shard in self._shards]

    def clock_argument(self) -> bytes:
        """Return what scripts take for the time: that of the `clock`, or nothing for the server's."""
        return b"" if self.clock is None else repr(float(self.clock())).encode()

    def session_keys(self, session_id: str) -> tuple[bytes, ...]:
        """Return the keys of a script about one session; its shard is part of the id."""
        shard = self._shards[tokens.shard_of(session_id)]
        return (*shard.indexes, shard.session(session_id))

    def plan_create(
        self,
        token: str,
        user_id: str | None,
        changes: Changes,
        *,
        ttl: float | None = None,
        max_lifetime: float | None = None,
        created: float | None = None,
    ) -> Steps[S]:
        """Plan a session for *token*; with *created* it takes the place of another, made then."""
        ttl = self.ttl if ttl is None else check_seconds("ttl", ttl)
        lifetime = (self.max_lifetime or 0) if max_lifetime is None else check_seconds("max_lifetime", max_lifetime)
        stored = [(name, value) for name, value in changes.items() if value is not None]
        size = data_size(stored)
        if size > self.max_data_bytes:
            raise SessionDataTooLarge(size, self.max_data_bytes)
        session_id = tokens.session_id_of(token)

        def decode(reply: list[Any]) -> S:
            self.refuse(reply, user_id)
            now = reply[1]
            found = {b"now": now, b"c": now, b"l": now, b"t": repr(ttl).encode(), **changes}
            if created is not None:
                found[b"c"] = repr(created).encode()
            if user_id is not None:
                found.update({b"u": user_id.encode(), b"a": now})
            if lifetime:
                found[b"d"] = repr(float(now) + lifetime).encode()
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
            size,
            *(part for pair in stored for part in pair),
        )
        return _until_done(Operation(script("create"), self.session_keys(session_id), args, decode))

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

    def plan_store(
        self,
        session_id: str,
        changes: Changes,
        *,
        ttl: float | None = None,
        touch: bool = False,
        end_empty: bool = False,
        decode: Callable[[list[Any]], T],
    ) -> Operation[T]:
        """Plan a write of changed fields of the hash, and only those; *end_empty* ends it if no data is left."""
        args = (
            self.clock_argument(),
            session_id,
            "touch" if touch else "end" if end_empty else "",
            "" if ttl is None else ttl,
            self.max_data_bytes,
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
        fresh: bool = False,
    ) -> Steps[S]:
        """Plan a new token for *session*; *fresh* ends it, and puts a new one in its place."""
        if ttl is not None:
            check_seconds("ttl", ttl)
        elif fresh:
            ttl = self.ttl
        old, new = cast("ShardKeys", self._shard_of(session.session_id)), tokens.session_id_of(token)
        if tokens.token_shard(token, self.shards) != old.number:
            return self._move(session, token, changes, cast("str", user_id), ttl=ttl, fresh=fresh)

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
            *_change_arguments(changes),
        )
        keys = (*old.indexes, old.session(session.session_id), old.session(new))
        return _until_done(Operation(script("rotate"), keys, args, decode))

    def plan_kill(
        self,
        session_id: str,
        *,
        owner: str | None = None,
        reason: EventReason = EventReason.KILLED,
        successor: str = "",
    ) -> Operation[bool]:
        """Plan the end of one session."""
        args = (self.clock_argument(), session_id, reason.value, self._ttl, (owner or "").encode(), successor)
        return Operation(script("kill"), self.session_keys(session_id), args, lambda reply: reply[0] == b"killed")

    def _move(
        self,
        session: SessionState,
        token: str,
        changes: Changes,
        user_id: str,
        *,
        ttl: float | None,
        fresh: bool,
    ) -> Steps[S]:
        """Sign in across shards: the new session is created from what was loaded, then the old one killed."""
        loaded: Any = session
        if not loaded.has_data and not fresh:
            loaded = yield self.plan_open(
                session.session_id, touch=False, decode=lambda reply: self._opened(reply, session.session_id)
            )
            if loaded is None:
                raise SessionGone(session.session_id)
        carried: Changes = {} if fresh else loaded.carried_fields
        moved = yield from self.plan_create(
            token,
            user_id,
            {**carried, **changes},
            ttl=session.ttl if ttl is None else ttl,
            created=None if fresh else session.created,
        )
        if fresh:
            killed = yield self.plan_kill(session.session_id, reason=EventReason.LOGOUT)
        else:
            killed = yield self.plan_kill(session.session_id, reason=EventReason.ROTATED, successor=moved.session_id)
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
                raise _More
            case b"full":
                raise SessionLimitReached(user_id or "", self.max_sessions_per_user or 0)
            case b"large":
                raise SessionDataTooLarge(int(reply[1]), self.max_data_bytes)
            case _:
                return

    def _user_shard(self, user_id: str) -> ShardKeys:
        return self._shards[tokens.user_shard(user_id.encode(), self.shards)]

    def _shard_of(self, session_id: str) -> ShardKeys | None:
        number = tokens.session_shard(check_handle("session_id", session_id), self.shards)
        return None if number is None else self._shards[number]

    def _count(self, shard: ShardKeys, index: bytes, secs: float) -> Steps[int]:
        def decode(reply: list[Any]) -> int:
            if reply[0] == b"more":
                raise _More
            return int(reply[1])

        args = (self.clock_argument(), secs)
        return _until_done(Operation(script("count"), (*shard.indexes, index), args, decode))

    def _members(self, shard: ShardKeys, index: bytes, secs: float) -> Steps[dict[bytes, float]]:
        """Read a whole index by pages: members and their scores."""
        found: dict[bytes, float] = {}
        after = _START
        while True:
            members, after = yield from self._members_page(shard, index, secs, after)
            found.update(members)
            if after[1] == _END:
                return found

    def _members_page(
        self, shard: ShardKeys, index: bytes, secs: float, after: _Cursor
    ) -> Steps[tuple[dict[bytes, float], _Cursor]]:
        def decode(reply: list[Any]) -> tuple[dict[bytes, float], _Cursor]:
            if reply[0] == b"more":
                raise _More
            rest = iter(reply[3:])
            return {member: float(score) for member, score in zip(rest, rest, strict=True)}, (
                reply[1],
                reply[2],
            )

        args = (self.clock_argument(), secs, *after, MEMBERS_PAGE)
        return _until_done(Operation(script("members"), (*shard.indexes, index), args, decode))

    def _sessions(
        self, shard: ShardKeys, index: bytes, user_id: str, secs: float, after: _Cursor
    ) -> Operation[tuple[list[S], _Cursor]]:
        def decode(reply: list[Any]) -> tuple[list[S], _Cursor]:
            width = len(self._listed) + 1
            sessions = [
                self.session_class(
                    self,
                    reply[at].decode(),
                    None,
                    {b"now": reply[1], **dict(zip(self._listed, reply[at + 1 : at + width], strict=True))},
                    with_data=False,
                )
                for at in range(4, len(reply), width)
            ]
            return sessions, (reply[2], reply[3])

        args: tuple[Argument, ...] = (
            self.clock_argument(),
            user_id.encode(),
            secs,
            *after,
            SESSIONS_PAGE,
            self._ttl,
            *self._listed,
        )
        return Operation(script("sessions"), (*shard.indexes, index), args, decode)

    def _kill_many(
        self,
        shard: ShardKeys,
        index: bytes,
        user_id: str,
        *,
        reason: EventReason,
        keep: Iterable[str] = (),
        called: bytes = b"",
    ) -> Steps[int]:
        ended, after = 0, _START
        while True:
            args = (self.clock_argument(), user_id.encode(), reason.value, called, *after, self._ttl, *keep)
            reply: list[Any] = yield Operation(script("kill_many"), (*shard.indexes, index), args, list)
            called, after = reply[1], (reply[2], reply[3])
            ended += int(reply[4])
            if reply[0] == b"done":
                return ended
            yield PAUSE


class _More(Exception):  # noqa: N818  no error: the script did a slice, and has to be called again
    pass


def client_changes(ip: str | None, user_agent: str | None) -> Changes:
    """Encode where a session's client is, as fields of the hash."""
    found = {b"i": check_text("ip", ip), b"g": check_text("user_agent", user_agent)}
    return {name: text[:MAX_CLIENT_LENGTH].encode("utf-8", "replace") for name, text in found.items() if text}


def reserved_names() -> frozenset[str]:
    """Return the names that an additional field would hide."""
    plans = (vars(SessionOperations)[name].plan for name in ("create", "rotate"))
    arguments = {name for plan in plans for name in inspect.signature(plan).parameters}
    return frozenset({*dir(Session), *dir(AsyncSession), *arguments, "transport", "request"})


def as_steps(planned: Plan[T]) -> Steps[T]:
    """Take a plan as steps of another, be it one operation or several."""
    if isinstance(planned, Operation):
        result: T = yield planned
        return result
    return (yield from planned)


def _nothing(result: T) -> Steps[T]:
    """Plan no operation at all: the result is known."""
    return result
    yield  # a plan of no step is a generator all the same


def _until_done(planned: Operation[T]) -> Steps[T]:
    """Repeat *planned* while it did but a slice."""
    while True:
        try:
            result: T = yield planned
        except _More:
            yield PAUSE
        else:
            return result


def _summed(plans: list[Steps[int]]) -> Steps[int]:
    results: list[int] = yield Together(plans)
    return sum(results)


def _ranked(plans: list[Steps[dict[bytes, float]]]) -> Steps[list[str]]:
    """Merge the members of several indexes, highest score first."""
    results: list[dict[bytes, float]] = yield Together(plans)
    found: dict[bytes, float] = {}
    for result in results:
        for member, score in result.items():
            found[member] = max(score, found.get(member, -math.inf))
    return [member.decode() for member in sorted(found, key=found.__getitem__, reverse=True)]


def _change_arguments(changes: Changes) -> tuple[int | bytes, ...]:
    """Return changes as the scripts take them: how many to delete, their names, then name, value by turns."""
    deleted = [name for name, value in changes.items() if value is None]
    stored = [part for name, value in changes.items() if value is not None for part in (name, value)]
    return (len(deleted), *deleted, *stored)
