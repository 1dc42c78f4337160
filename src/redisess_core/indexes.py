"""Plans of what is read from an index, or ended along one: by pages and slices, never whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from redisess_core.config import check_time
from redisess_core.events import EventReason
from redisess_core.operation import (
    PAUSE,
    Argument,
    Iteration,
    Operation,
    Page,
    Plan,
    Steps,
    Together,
    as_steps,
)
from redisess_core.plans import SessionPlans, refuse_dead
from redisess_core.scripts import script
from redisess_core.session_state import SessionState
from redisess_core.steps import More, summed, until_done
from redisess_core.tokens import RANDOM_PART
from redisess_core.verify import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redisess_core.keys import ShardKeys

S = TypeVar("S", bound=SessionState)
T = TypeVar("T")

SESSIONS_PAGE: Final = 100  # sessions that one script lists, at most
ITERATION_PAGE: Final = 50  # where all are gone through, page by page, beside what others ask
VALUES_PAGE: Final = 1000  # values of sessions that one script lists
MEMBERS_PAGE: Final = 900  # ids that one script reads
Cursor = tuple[bytes, bytes]  # the score and the member after which the next page begins
SHARDS_AT_ONCE: Final = 16  # that an iteration reads a page of
START: Final[Cursor] = (b"", b"")
MENDED: Final = b"mended"  # to a script: do not look again whether an index was lost
END: Final = b""  # as a member: that was the last page


class IndexPlans(SessionPlans[S]):
    """What counts, lists and ends many sessions."""

    def _count(self, shard: ShardKeys, index: bytes, secs: float) -> Steps[int]:
        def planned(mended: bytes) -> Operation[int]:
            args = (self.clock_argument(), secs, mended)
            return Operation(script("count"), (*shard.indexes, index), args, lambda reply: int(_done(reply)[1]))

        return self._mending(shard, index, planned)

    def _mending(self, shard: ShardKeys, index: bytes, planned: Callable[[bytes], Operation[T]]) -> Steps[T]:
        """Repeat an operation while it did but a slice; where it found an index lost, after that was mended."""
        try:
            return (yield from until_done(planned(b"")))
        except LostError:
            yield from self._mend(shard, index)
        return (yield from until_done(planned(MENDED)))

    def _mend(self, shard: ShardKeys, index: bytes) -> Steps[None]:
        """Go through the indexes of a shard that lost one: what lives is entered, what does not is removed.

        *index*: the one that was asked for; a user's set may be one that the lost index of users no longer names.
        """
        comparison, after = self._comparison("enter"), START
        yield from comparison.mend(shard, shard.expiry, shard.activity)
        if index not in shard.indexes:
            yield from comparison.mend_users(shard, [index])
        while True:
            page = self._page_of_members(shard, shard.users, 0, after, scan=True, mended=MENDED)
            users, after = yield from until_done(page)
            yield from comparison.mend_users(shard, [shard.user(user) for user in users])
            if after[1] == END:
                break
        yield from comparison.mend(shard, shard.users)

    def _comparison(self, mode: Literal["", "repair", "enter"]) -> Comparison:
        return Comparison(self.namespace, self._shards, self.clock_argument, mode)

    def _members(self, shard: ShardKeys, index: bytes, secs: float, *, scan: bool = False) -> Steps[dict[bytes, float]]:
        """Read a whole index by pages: members and their scores. *scan*: also those that fall meanwhile."""
        found: dict[bytes, float] = {}
        after = START
        while True:
            members, after = yield from self._members_page(shard, index, secs, after, scan=scan)
            found.update(members)
            if after[1] == END:
                return found
            yield PAUSE

    def _users(self, shard: ShardKeys, secs: float) -> Steps[dict[bytes, float]]:
        """Read the users: in one page where they fit one; else unordered, as a kill lets a user fall in rank."""
        found, after = yield from self._members_page(shard, shard.users, secs, START, scan=False)
        if after[1] != END:
            found = yield from self._members(shard, shard.users, secs, scan=True)
        return found

    def _members_page(
        self, shard: ShardKeys, index: bytes, secs: float, after: Cursor, *, scan: bool
    ) -> Steps[tuple[dict[bytes, float], Cursor]]:
        return self._mending(
            shard, index, lambda mended: self._page_of_members(shard, index, secs, after, scan=scan, mended=mended)
        )

    def _page_of_members(
        self, shard: ShardKeys, index: bytes, secs: float, after: Cursor, *, scan: bool, mended: bytes
    ) -> Operation[tuple[dict[bytes, float], Cursor]]:
        def decode(reply: list[Any]) -> tuple[dict[bytes, float], Cursor]:
            rest = iter(_done(reply)[3:])
            return {member: float(score) for member, score in zip(rest, rest, strict=True)}, (
                reply[1],
                reply[2],
            )

        args = (self.clock_argument(), secs, *after, MEMBERS_PAGE, "scan" if scan else "", mended)
        return Operation(script("members"), (*shard.indexes, index), args, decode)

    def _paged(self, page: Callable[[ShardKeys, Cursor], Plan[tuple[Iterable[T], Cursor]]]) -> Iteration[T]:
        """Iterate over an index of every shard, some shards at a time, by pages: *page* plans that after a cursor."""
        waiting = [(shard, START) for shard in self._shards]
        while waiting:
            now, waiting = waiting[:SHARDS_AT_ONCE], waiting[SHARDS_AT_ONCE:]
            pages = yield Together([page(*each) for each in now], by_server=True)
            yield Page([item for items, _ in pages for item in items])
            more = [(shard, after) for (shard, _), (_, after) in zip(now, pages, strict=True) if after[1] != END]
            if more:
                yield PAUSE
            waiting = more + waiting

    def _sessions(
        self, shard: ShardKeys, index: bytes, user_id: str, secs: float, after: Cursor, *, most: int = SESSIONS_PAGE
    ) -> Operation[tuple[list[S], Cursor]]:
        args: tuple[Argument, ...] = (
            self.clock_argument(),
            user_id.encode(),
            secs,
            *after,
            min(most, self._page),
            self._ttl,
            *self._listed,
        )
        return Operation(script("sessions"), (*shard.indexes, index), args, self._listing)

    @property
    def _page(self) -> int:
        """How many sessions one script lists, at most."""
        return max(1, min(SESSIONS_PAGE, VALUES_PAGE // len(self._listed)))

    def _listing(self, reply: list[Any]) -> tuple[list[S], Cursor]:
        """Read a page of sessions without their data, and the next page's cursor."""
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

    def plan_recent(
        self, secs: float, *, limit: int, after: tuple[float, str] | None, user_ids: Iterable[str] | None = None
    ) -> Steps[list[S]]:
        """Plan a page of the sessions of all, or of some users, most recently accessed first.

        *after*: last access and id of the session before, be it of these users or not.
        """
        cursor = START
        if after is not None:
            last_access, session_id = after
            if self._shard_of(session_id) is None:
                raise ValueError("after: a str given that has not the form of a session id, a session's wanted")
            cursor = repr(check_time("after", last_access)).encode(), session_id.encode()
        if user_ids is None:
            indexes = [(shard, shard.activity, "") for shard in self._shards]
        else:
            indexes = [((shard := self._user_shard(user)), shard.user(user.encode()), user) for user in user_ids]
        return _merged([self._recent(*index, secs, after=cursor, limit=limit) for index in indexes], limit)

    def _recent(
        self, shard: ShardKeys, index: bytes, user_id: str, secs: float, *, after: Cursor, limit: int
    ) -> Steps[list[S]]:
        """Read the sessions of an index, most recently accessed first, those after the cursor: *limit*, or all."""
        found: list[S] = []
        while True:
            page = min(limit - len(found), self._page)
            args: tuple[Argument, ...] = (
                self.clock_argument(),
                user_id.encode(),
                secs,
                *after,
                page,
                self._ttl,
                *self._listed,
            )
            sessions, after = yield Operation(script("recent"), (*shard.indexes, index), args, self._listing)
            found += sessions
            if after[1] == END or len(found) == limit:
                return found
            yield PAUSE

    def plan_named(self, session_ids: Iterable[str]) -> Steps[list[S]]:
        """Plan the reading of sessions by their ids, without their data; what names no live one is left out.

        They come in the order of the ids. Nothing is touched. One round trip for each hundred, and of each shard.
        """
        wanted: dict[str, S | None] = {}
        of_shard: dict[int, list[str]] = {}
        for session_id in session_ids:
            shard = self._shard_of(session_id)
            if shard is not None and session_id not in wanted:
                wanted[session_id] = None
                of_shard.setdefault(shard.number, []).append(session_id)
        for number, ids in of_shard.items():
            shard = self._shards[number]
            for at in range(0, len(ids), self._page):
                keys = (*shard.indexes, *map(shard.session, ids[at : at + self._page]))
                args = (self.clock_argument(), self._ttl, *self._listed)
                found, _ = yield Operation(script("named"), keys, args, self._listing)
                wanted.update((session.session_id, session) for session in found)
        return [session for session in wanted.values() if session is not None]

    def plan_kill_user(self, user_id: str, *, keep: Iterable[str] = (), acting: str | None = None) -> Steps[int]:
        """Plan the end of a user's sessions but those kept.

        *acting* is the session that asks for it, and has to live when that begins: where it is of the user's shard, the
        script sees to that; else it is looked at a moment before.
        """
        shard = self._user_shard(user_id)
        index, reason = shard.user(user_id.encode()), EventReason.USER_KILLED
        acting = yield from self._checked(acting, shard)
        return (yield from self._kill_many(shard, index, user_id, reason=reason, keep=keep, acting=acting))

    def plan_kill_all(self, *, keep: Iterable[str] = (), acting: str | None = None) -> Steps[int]:
        """Plan the end of the namespace's sessions but those kept.

        *acting* is the session that asks for it, and has to live when that begins: its shard, where the script sees to
        that, goes first, and the others follow without another look.
        """
        called = b""  # the first slice says when, but for all shards it has to be the same time
        if self.shards > 1:
            called = repr((yield from as_steps(self.plan_now()))).encode()

        def of(shard: ShardKeys, acting: str | None = None) -> Steps[int]:
            reason = EventReason.ALL_KILLED
            return self._kill_many(shard, shard.activity, "", reason=reason, keep=keep, called=called, acting=acting)

        first = None if acting is None else self._shard_of(acting)
        if self.shards == 1:
            return (yield from of(self._shards[0], acting))
        ended = 0 if first is None else (yield from of(first, acting))
        again = False
        while True:
            found = yield from summed([of(shard) for shard in self._shards], by_server=True)
            ended += found
            if again and not found:
                return ended
            again = True  # for what a sign-in moved to a shard that was done

    def _kill_many(
        self,
        shard: ShardKeys,
        index: bytes,
        user_id: str,
        *,
        reason: EventReason,
        keep: Iterable[str] = (),
        called: bytes = b"",
        acting: str | None = None,
    ) -> Steps[int]:
        """End the sessions of an index; *acting*, which asks for it, lives when that begins, and may end with them."""
        ended, after, mended = 0, START, b""
        while True:
            keys = (*shard.indexes, index, *(self.acting_keys(acting) if after == START else ()))
            args = (self.clock_argument(), user_id.encode(), reason.value, called, *after, self._ttl, mended, *keep)
            reply: list[Any] = yield Operation(script("kill_many"), keys, args, list)
            refuse_dead(reply, acting)
            if reply[0] == b"lost":
                yield from self._mend(shard, index)
                mended = MENDED
                continue
            called, after = reply[1], (reply[2], reply[3])
            ended += int(reply[4])
            if reply[0] == b"done":
                return ended
            yield PAUSE


class LostError(Exception):
    """The script found that an index was lost, and has to be called again when that is mended."""


def _done(reply: list[Any]) -> list[Any]:
    """Return a reply that is one; raises `More` or `LostError` where something has to be done before."""
    if reply[0] == b"more":
        raise More
    if reply[0] == b"lost":
        raise LostError
    return reply


def _merged(plans: list[Steps[list[S]]], limit: int) -> Steps[list[S]]:
    """Merge pages of several indexes, most recently accessed first, into one."""
    pages: list[list[S]] = yield Together(plans)
    found = sorted((session for page in pages for session in page), key=_recency, reverse=True)
    return found[:limit]


def _recency(session: SessionState) -> tuple[float, str]:
    return session.last_access, session.session_id[RANDOM_PART:]


def ranked(plans: list[Steps[dict[bytes, float]]]) -> Steps[list[str]]:
    """Merge the members of several indexes, highest score first."""
    results: list[dict[bytes, float]] = yield Together(plans)
    found: dict[bytes, float] = {}
    for result in results:
        for member, score in result.items():
            found[member] = max(score, found.get(member, -math.inf))
    return [member.decode() for member in sorted(found, key=found.__getitem__, reverse=True)]
