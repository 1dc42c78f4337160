"""The session engine: `SESSION_ENGINE = "redisess_django.sessions"`.

A session key is a token; in Redis is its hash. Whose a session is follows from its data, at `save()`.
"""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from redisess_core import SessionGone, SessionLimitReached
from redisess_core.config import check_seconds, check_user_id
from redisess_core.events import EventKind, EventReason
from redisess_core.plans import client_changes
from redisess_core.record import DATA, data_of
from redisess_core.tokens import session_id_of, token_shard, user_shard
from redisess_core.web import Happening
from redisess_django import signals
from redisess_django.conf import async_manager, manager, option
from redisess_django.current import loaded
from redisess_django.data import SessionCache, cache_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redisess_core.operation import Steps
    from redisess_core.record import Changes
    from redisess_core.session_state import SessionState

_EXPIRY: Final = "_session_expiry"
_EXPIRY_FIELD: Final = DATA + _EXPIRY.encode()
_OVER: Final = -1.0  # as a ttl
_SIGNAL_OF: Final = {
    EventKind.CREATED: signals.session_created,
    EventKind.ROTATED: signals.session_rotated,
    EventKind.KILLED: signals.session_killed,
}


class SessionStore(SessionBase):
    """A session of Django's over Redis; every call that reads or writes is one round trip, one atomic script.

    Raises what Django's engines raise, `StoreUnavailable` where Redis cannot be reached, `SessionLimitReached`,
    `SessionDataTooLarge`, and `TypeError` at the assignment of a value that cannot be stored.
    """

    in_request = False  # of our middleware: a new key waits for save(), and every sign-in gives one
    ip: str | None = None
    user_agent: str | None = None
    flushed = False
    current: SessionState | None = None  # the session as it is stored
    _modified = False
    _cycled = False
    _new_key: str | None = None

    def __init__(self, session_key: str | None = None) -> None:
        self._happened: list[Happening] = []
        super().__init__(session_key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_id}>"

    # What is known of the session

    @property
    def session_key(self) -> str | None:
        """The token; the new one as soon as the session needs another: after `cycle_key`, or for its user's shard."""
        return self._next_key() or self._session_key

    @property
    def session_id(self) -> str | None:
        """The public handle of the session; None: there is no key yet."""
        key = self.session_key
        return session_id_of(key) if key is not None and _is_token(key) else None

    @property
    def modified(self) -> bool:
        """Whether there is something to save; what was changed in place is noticed."""
        data = self._data
        return self._modified or (isinstance(data, SessionCache) and data.changed_in_place)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = value

    @property
    def user_id(self) -> str | None:
        """Whose session it is: whom the data names, or who signed in by another adapter. None: anonymous."""
        data = self._data
        if data is not None and SESSION_KEY in data:
            return check_user_id(data[SESSION_KEY])
        unnamed = isinstance(data, SessionCache) and data.unnamed_user
        return None if self.current is None or unnamed else self.current.user_id

    def authenticated_within(self, secs: float) -> bool:
        """Whether the user signed in in the last *secs* seconds, this request included."""
        if self._signs_in():
            return True
        current = self.current
        if current is None or current.authenticated_at is None:
            return False
        return current.last_access + current.idle - current.authenticated_at <= secs

    @property
    def leaves_nothing(self) -> bool:
        """Whether all data of a signed-in session was removed: what many applications sign out with."""
        data = self._data
        return isinstance(data, SessionCache) and data.unnamed_user and not data

    @property
    def _data(self) -> Any:
        return vars(self).get("_session_cache")

    def _signs_in(self) -> bool:
        data, user_id = self._data, self.user_id
        named = isinstance(data, SessionCache) and data.named_user
        return user_id is not None and (named or self.current is None or user_id != self.current.user_id)

    def _next_key(self) -> str | None:
        """Choose the token that the session is to have, if it needs another than it has."""
        if self._data is None:
            return None
        current, user_id = self.current, self.user_id
        if current is None:
            needed = self._cycled or user_id is not None
        else:
            signs_out = user_id is None and current.user_id is not None
            moves = self.in_request or not _fits(self._session_key, user_id)
            needed = self._cycled or signs_out or (moves and self._signs_in())
        if not needed:
            return None
        if not _fits(self._new_key, user_id):
            beside = None if self.current is None else self.current.session_id
            self._new_key = manager().new_token(user_id, beside=beside)
        return self._new_key

    # Django's contract, in both colours

    def load(self) -> SessionCache:
        """Load the session's data; of an unknown key, none: the key is forgotten, and nothing is stored."""
        return manager().run(self._loading())

    async def aload(self) -> SessionCache:
        """Do what `load` does."""
        return await async_manager().run(self._loading())

    def open(self) -> None:
        """Load it at a request's start, which does not count as an access by the view."""
        self._session_cache = self.load()

    async def aopen(self) -> None:
        """Do what `open` does."""
        self._session_cache = await self.aload()

    def exists(self, session_key: str | None) -> bool:
        """Whether there is a live session of this key."""
        return _is_token(session_key) and manager().exists(session_id_of(session_key or ""))

    async def aexists(self, session_key: str | None) -> bool:
        """Do what `exists` does."""
        return _is_token(session_key) and await async_manager().exists(session_id_of(session_key or ""))

    def create(self) -> None:
        """Store what there is as a new session, with a new key."""
        self._begin_anew()
        self.save(must_create=True)
        self.modified = True

    async def acreate(self) -> None:
        """Do what `create` does."""
        self._begin_anew()
        await self.asave(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        """Store what changed, and move the expiry; raises `UpdateError` if the session is no longer there.

        A session that has no key is created. Raises `CreateError` where *must_create* and the key names a live one; a
        key that names none is not taken up, but replaced.
        """
        manager().run(self._saving(must_create=must_create))
        for signal, told in self._take_happened():
            signal.send(type(self), **told)

    async def asave(self, must_create: bool = False) -> None:
        """Do what `save` does."""
        await async_manager().run(self._saving(must_create=must_create))
        for signal, told in self._take_happened():
            await signal.asend(type(self), **told)

    def delete(self, session_key: str | None = None) -> None:
        """End the session of this key, or else this one, at once and for good."""
        manager().run(self._deleting(session_key))
        for signal, told in self._take_happened():
            signal.send(type(self), **told)

    async def adelete(self, session_key: str | None = None) -> None:
        """Do what `delete` does."""
        await async_manager().run(self._deleting(session_key))
        for signal, told in self._take_happened():
            await signal.asend(type(self), **told)

    def flush(self) -> None:
        """End the session, and go on with an empty one that has no key."""
        self.delete()
        self.forget()

    async def aflush(self) -> None:
        """Do what `flush` does."""
        await self.adelete()
        self.forget()

    def cycle_key(self) -> None:
        """Give the session a new key; the old one is dead at once, in a request of our middleware when it is saved."""
        self._get_session()
        if self.current is None and not self.in_request:
            self.create()
            return
        self._cycled = self.modified = True
        if not self.in_request:
            self.save()
            self.modified = True

    async def acycle_key(self) -> None:
        """Do what `cycle_key` does."""
        await self._aget_session()
        if self.current is None and not self.in_request:
            await self.acreate()
            return
        self._cycled = self.modified = True
        if not self.in_request:
            await self.asave()
            self.modified = True

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what is left of expired sessions; nobody has to."""
        manager().wipe()

    @classmethod
    async def aclear_expired(cls) -> None:
        """Do what `clear_expired` does."""
        await async_manager().wipe()

    def forget(self) -> None:
        """Go on with an empty session that has no key: this one was ended."""
        self.clear()
        self._begin_anew()
        self.flushed = True

    def clear(self) -> None:
        """Remove all data; of a signed-in session the user, too."""
        self._session_cache = cache_of({}, self._stored_data())
        self.accessed = self.modified = True

    # Plans

    def _loading(self) -> Steps[SessionCache]:
        key, self.current = self._session_key, None
        self._cycled, self._new_key = False, None
        if key is not None and _is_token(key):
            self.current = yield manager().plan_authenticate(key, touch=self.in_request)
        if self.current is None:
            self._session_key = None
        else:
            loaded(self)
        return SessionCache(self._stored_data())

    def _saving(self, *, must_create: bool) -> Steps[None]:
        if must_create:
            yield from self._refusing_a_live_one()
        elif self.current is None and self._session_key is not None:
            yield from self._looking_first(self._session_key)
        data = self._data
        if not isinstance(data, SessionCache):
            data = self._session_cache = cache_of({} if data is None else data, self._stored_data())
        try:
            yield from self._storing(data, data.changes())
        except SessionGone:
            raise UpdateError from None
        except SessionLimitReached:
            self._session_cache = SessionCache(self._stored_data())  # the sign-in is dropped, and what came with it
            self._cycled, self._new_key = False, None
            self.modified = False
            raise

    def _refusing_a_live_one(self) -> Steps[None]:
        key = self._session_key
        if key is not None:
            if _is_token(key) and (yield manager().plan_open(session_id_of(key), touch=False, decode=bool)):
                raise CreateError
            self._begin_anew()

    def _looking_first(self, key: str) -> Steps[None]:
        """Look for what the key names, where the data was put together without."""
        data = self._data
        found = yield from self._loading()
        if self.current is None:
            self._session_key = key
            raise UpdateError
        self._session_cache = found if data is None else cache_of(data, self._stored_data())

    def _storing(self, data: SessionCache, changes: Changes) -> Steps[None]:
        current, next_key, user_id = self.current, self._next_key(), self.user_id
        ttl, deadline = self._lifetime(changes)
        if ttl is not None and ttl < 0:
            yield from self._letting_expire()
        elif current is None:
            yield from self._creating(next_key or manager().new_token(user_id), user_id, changes, ttl, deadline)
        elif next_key is not None or self._signs_in() or user_id != current.user_id:
            yield from self._rotating(current, next_key or self._session_key or "", user_id, changes, ttl, deadline)
        else:
            stored: bool = yield manager().plan_store(
                current.session_id, changes, ttl=ttl, deadline=deadline, touch=True, decode=self._decode_store
            )
            if not stored:
                raise SessionGone(current.session_id)
            current.remember(changes, ttl)
        data.stored(changes, self._stored_data())
        self._cycled, self._new_key = False, None

    def _decode_store(self, reply: list[Any]) -> bool:
        manager().refuse(reply, None)
        return self.current is not None and self.current.touched(reply)

    def _creating(
        self, key: str, user_id: str | None, changes: Changes, ttl: float | None, deadline: float | None
    ) -> Steps[None]:
        self.current = yield from manager().plan_create(
            key, user_id, {**changes, **self._client()}, ttl=ttl, deadline=deadline
        )
        self._session_key, self._modified = key, True  # as Django's do: its cookie has yet to be sent
        self._note(EventKind.CREATED, self.current)

    def _rotating(
        self,
        current: SessionState,
        key: str,
        user_id: str | None,
        changes: Changes,
        ttl: float | None,
        deadline: float | None,
    ) -> Steps[None]:
        """Store the session under another key, or another user; of a user who is named no longer, a new one."""
        signs_in, fresh = self._signs_in(), user_id is None and current.user_id is not None
        rotated: SessionState = yield from manager().plan_rotate(
            current,
            key,
            {
                **({} if not fresh else current.carried_fields),
                **changes,
                **(self._client() if signs_in else {}),
            },
            user_id=user_id if signs_in else None,
            ttl=current.ttl if ttl is None and fresh else ttl,
            deadline=deadline,
            fresh=fresh,
        )
        self.current, self._session_key = rotated, key
        self._note(EventKind.ROTATED, current, rotated.session_id)

    def _letting_expire(self) -> Steps[None]:
        """Store nothing: what was to be stored is over already."""
        current = self.current
        if current is not None:
            killed: bool = yield manager().plan_kill(current.session_id, reason=EventReason.IDLE)
            if killed:
                self._note(EventKind.KILLED, current)
            current.mark_gone()
        else:
            self._session_key = manager().new_token(None)

    def _deleting(self, session_key: str | None) -> Steps[None]:
        key = self._session_key if session_key is None else session_key
        if key is None or not _is_token(key):
            return
        session_id, current = session_id_of(key), self.current
        own = current is not None and current.session_id == session_id
        killed: bool = yield manager().plan_kill(session_id, reason=EventReason.LOGOUT)
        if killed:
            user_id = current.user_id if own and current is not None else None
            self._happened.append(Happening(EventKind.KILLED, session_id, user_id))

    # Steps without I/O

    def _begin_anew(self) -> None:
        self._session_key = self.current = self._new_key = None
        self._cycled = False
        data = self._data
        if isinstance(data, SessionCache):
            self._session_cache = cache_of(data, {})

    def _stored_data(self) -> Mapping[str, bytes]:
        return {} if self.current is None else data_of(self.current.stored_fields)

    def _client(self) -> Changes:
        return client_changes(self.ip, self.user_agent) if manager().record_client else {}

    def _lifetime(self, changes: Changes) -> tuple[float | None, float | None]:
        """Return the ttl and the deadline to store; None: as they were. A ttl below 0: it is over.

        `set_expiry` has left in the data a number of seconds, for an idle timeout, or a date, for a deadline.
        """
        current = self.current
        begins = current is None or self._signs_in() or self.user_id != current.user_id
        if not begins and _EXPIRY_FIELD not in changes:
            return None, None
        expiry: Any = self._data.get(_EXPIRY)
        latest = math.inf
        if current is not None and not begins and manager().max_lifetime is not None:
            latest = (current.authenticated_at or current.created) + (manager().max_lifetime or 0)
        if isinstance(expiry, str):
            expiry = datetime.fromisoformat(expiry)
        if isinstance(expiry, datetime):
            deadline = expiry.timestamp()
            return (0, min(deadline, latest)) if deadline > _now() else (_OVER, None)
        if not expiry and option("TTL") is not None:
            return check_seconds("TTL", option("TTL")), latest
        age = expiry or self.get_session_cookie_age()
        return (check_seconds("set_expiry", age), latest) if not age <= 0 else (_OVER, None)

    def _note(self, kind: EventKind, session: SessionState, successor: str | None = None) -> None:
        self._happened.append(Happening(kind, session.session_id, session.user_id, successor))

    def _take_happened(self) -> list[tuple[Any, dict[str, Any]]]:
        happened, self._happened = self._happened, []
        return [
            (
                _SIGNAL_OF[each.kind],
                {"session_id": each.session_id, "user_id": each.user_id}
                | ({} if each.successor is None else {"successor": each.successor}),
            )
            for each in happened
            if each.kind is not None
        ]

    def _get_new_session_key(self) -> str:
        return manager().new_token(None)

    async def _aget_new_session_key(self) -> str:
        return manager().new_token(None)


def _now() -> float:
    clock = manager().clock
    return time.time() if clock is None else clock()


def _is_token(key: str | None) -> bool:
    return key is not None and token_shard(key, manager().shards) is not None


def _fits(key: str | None, user_id: str | None) -> bool:
    """Whether a session of this key can be that user's: an anonymous one sits anywhere."""
    if key is None:
        return False
    return user_id is None or token_shard(key, manager().shards) == user_shard(user_id.encode(), manager().shards)
