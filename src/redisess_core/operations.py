"""Every operation of a manager, planned: which script, which keys, which arguments, and how to read the reply."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from redisess_core import tokens
from redisess_core.config import (
    UserId,
    check_count,
    check_flag,
    check_handle,
    check_seconds,
    check_several,
    check_user_id,
)
from redisess_core.indexes import END, ITERATION_PAGE, MENDED, START, Cursor, IndexPlans, ranked
from redisess_core.operation import (
    PAUSE,
    Iteration,
    Operation,
    Plan,
    Steps,
    iteration,
    operation,
)
from redisess_core.plans import client_changes
from redisess_core.record import encode_data, encode_fields, pairs
from redisess_core.scripts import script
from redisess_core.session import AsyncSession, Session
from redisess_core.session_state import SessionState
from redisess_core.steps import More, nothing, summed, until_done

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redisess_core.keys import ShardKeys
    from redisess_core.verify import Verification

S = TypeVar("S", bound=SessionState)
T = TypeVar("T")

_KEEP: Final[Any] = ...  # the user stays who it is


class SessionOperations(IndexPlans[S]):
    """What both managers can do. Times are in seconds since the epoch, durations in seconds."""

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
        check_flag("touch", touch)
        if tokens.token_shard(check_handle("token", token), self.shards) is None:
            return nothing(None)
        return self.plan_authenticate(token, touch=touch)

    @operation
    def get(self, session_id: str, *, touch: bool = True) -> Plan[S | None]:
        """Return the live session of this id, with its data loaded; None if there is none.

        It touches: pages and tools that only look pass `touch=False`.
        """
        check_flag("touch", touch)
        if self._shard_of(session_id) is None:
            return nothing(None)
        return self.plan_open(session_id, touch=touch, decode=lambda reply: self._opened(reply, session_id))

    @operation
    def exists(self, session_id: str) -> Plan[bool]:
        """Whether *session_id* names a live session."""
        if self._shard_of(session_id) is None:
            return nothing(False)
        return self.plan_exists(session_id)

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
            return nothing(False)
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
        return ranked([self._members(shard, shard.user(user.encode()), check_seconds("secs", secs))])

    @operation
    def list_user_sessions(self, user_id: UserId, secs: float = 0) -> Steps[list[S]]:
        """List a user's live sessions, without their data, most recently accessed first; nothing is touched.

        One round trip for each hundred.
        """
        user = check_user_id(user_id)
        shard = self._user_shard(user)
        secs = check_seconds("secs", secs)

        def steps() -> Steps[list[S]]:
            found: dict[str, S] = {}
            after = START
            while True:
                sessions, after = yield self._sessions(shard, shard.user(user.encode()), user, secs, after)
                for session in sessions:
                    found.pop(session.session_id, None)
                    found[session.session_id] = session
                if after[1] == END:
                    return sorted(found.values(), key=lambda session: session.last_access, reverse=True)
                yield PAUSE

        return steps()

    @operation
    def get_oldest_user_session(self, user_id: UserId, *, touch: bool = True) -> Steps[S | None]:
        """Return the user's session whose last access is longest ago, with its data loaded; None if there is none."""
        user = check_user_id(user_id)
        check_flag("touch", touch)
        shard = self._user_shard(user)

        def decode(reply: list[Any]) -> S | None:
            if not reply:
                return None
            if reply[0] == b"more":
                raise More
            session_id = reply.pop().decode()
            return self.session_class(self, session_id, None, pairs(reply))

        args = (self.clock_argument(), user.encode(), self._interval if touch else b"")
        return until_done(Operation(script("oldest"), (*shard.indexes, shard.user(user.encode())), args, decode))

    @operation
    def kill_user(self, user_id: UserId, *, keep: str | Iterable[str] | None = None) -> Steps[int]:
        """End a user's sessions that were created before the call; return how many. *keep*: ids to leave alive.

        In slices of at most 25, each atomic, with a pause as long as the slice between them.
        """
        user = check_user_id(user_id)
        return self.plan_kill_user(user, keep=self._kept(keep))

    # The namespace

    @operation
    def count(self, secs: float = 0) -> Steps[int]:
        """Count live sessions; with *secs*, those accessed in the last so many seconds (`touch_interval` may lag)."""
        secs = check_seconds("secs", secs)
        return summed([self._count(shard, shard.activity, secs) for shard in self._shards])

    @operation
    def count_users(self, secs: float = 0) -> Steps[int]:
        """Count users with a live session; with *secs*, those active in the last so many seconds."""
        secs = check_seconds("secs", secs)
        return summed([self._count(shard, shard.users, secs) for shard in self._shards])

    @operation
    def get_all_sessions(self, secs: float = 0) -> Steps[list[str]]:
        """List the ids of all live sessions, most recently accessed first.

        Read in pages: complete for what lives throughout, not a snapshot.
        """
        secs = check_seconds("secs", secs)
        return ranked([self._members(shard, shard.activity, secs) for shard in self._shards])

    @operation
    def get_all_users(self, secs: float = 0) -> Steps[list[str]]:
        """List the users with at least one live session, most recently active first; read in pages."""
        secs = check_seconds("secs", secs)
        return ranked([self._users(shard, secs) for shard in self._shards])

    @operation
    def list_sessions(
        self, secs: float = 0, *, limit: int = 100, after: tuple[float, str] | None = None
    ) -> Steps[list[S]]:
        """List a page of live sessions, without their data, most recently accessed first; nothing is touched.

        The next page is the one *after* the last access and the id of this one's last session; there is none after a
        page of less than *limit*. What is accessed meanwhile moves to the front. One round trip for each hundred, and
        of each shard.
        """
        secs, limit = check_seconds("secs", secs), check_count("limit", limit)
        return self.plan_recent(secs, limit=limit, after=after)

    @iteration
    def iter_sessions(self, secs: float = 0) -> Iteration[S]:
        """Iterate over live sessions, without their data, in no order, by pages: what lives throughout comes.

        A session that is accessed meanwhile can come twice. Nothing is touched.
        """
        secs = check_seconds("secs", secs)

        def page(shard: ShardKeys, after: Cursor) -> Operation[tuple[list[S], Cursor]]:
            return self._sessions(shard, shard.activity, "", secs, after, most=ITERATION_PAGE)

        return self._paged(page)

    @iteration
    def iter_users(self, secs: float = 0) -> Iteration[str]:
        """Iterate over the ids of users with a live session, in no order, by pages: who stays throughout comes.

        A user who is active meanwhile can come twice.
        """
        secs = check_seconds("secs", secs)

        def page(shard: ShardKeys, after: Cursor) -> Steps[tuple[list[str], Cursor]]:
            members, after = yield from self._members_page(shard, shard.users, secs, after, scan=True)
            return [member.decode() for member in members], after

        return self._paged(page)

    @operation
    def kill_all(self, *, keep: str | Iterable[str] | None = None) -> Steps[int]:
        """End the sessions of this namespace that were created before the call; return how many.

        *keep*: ids to leave alive. In slices of at most 25, each atomic, with a pause as long as the slice between.
        """
        return self.plan_kill_all(keep=self._kept(keep))

    @operation
    def wipe(self) -> Steps[int]:
        """Remove what is left of expired sessions; return how many. Nobody has to call it."""

        def shard_steps(shard: ShardKeys) -> Steps[int]:
            removed, mended = 0, b""
            while True:
                reply: list[Any] = yield Operation(script("wipe"), shard.indexes, (self.clock_argument(), mended), list)
                removed += int(reply[1])
                if reply[0] == b"done":
                    return removed
                yield PAUSE
                if reply[0] == b"lost":
                    yield from self._mend(shard, shard.activity)
                    mended = MENDED

        return summed([shard_steps(shard) for shard in self._shards], by_server=True)

    @operation
    def verify(self, *, repair: bool = False) -> Steps[Verification]:
        """Compare the indexes with the sessions, and say what differs; with *repair*, repair it.

        The namespace may be in use: each session and each entry is compared, and repaired, in one atomic step. No live
        session ends or is touched, and none that is gone comes back. By bounded pages, with a pause as long as the page
        between them; it goes over the names of all keys of the server.
        """
        check_flag("repair", repair)
        return self._comparison("repair" if repair else "").steps()

    @operation
    def now(self) -> Plan[float]:
        """Return the time, in seconds since the epoch, by which sessions live: the server's, or the `clock`'s."""
        return self.plan_now()

    def _kept(self, keep: str | Iterable[str] | None) -> list[str]:
        kept = [] if keep is None else check_several("keep", keep)
        for session_id in kept:
            if self._shard_of(check_handle("keep", session_id)) is None:
                raise ValueError("keep: a str given that has not the form of a session id, session ids wanted")
        return kept

    # For sessions and the web layer

    def planned(self, name: str, *args: Any, **kwargs: Any) -> Plan[Any]:
        """Plan an operation by its name, to take it as a step of another plan."""
        return cast("Plan[Any]", vars(SessionOperations)[name].plan(self, *args, **kwargs))


def reserved_names() -> frozenset[str]:
    """Return the names that an additional field would hide."""
    plans = [mark.plan for mark in vars(SessionOperations).values() if hasattr(mark, "plan")]
    arguments = {name for plan in plans for name in inspect.signature(plan).parameters}
    return frozenset({*dir(Session), *dir(AsyncSession), *arguments, "transport", "request"})
