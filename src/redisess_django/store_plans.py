"""What a session of Django's asks of Redis, as plans: to load, to save, to end it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError

from redisess_core import SessionGone, SessionLimitReached
from redisess_core.config import check_user_id
from redisess_core.events import EventKind, EventReason
from redisess_core.plans import client_changes
from redisess_core.record import DATA
from redisess_core.tokens import session_id_of
from redisess_core.web import Happening
from redisess_django import signals
from redisess_django.conf import manager, option
from redisess_django.current import made
from redisess_django.data import SessionCache, cache_of, readable
from redisess_django.expiry import EXPIRY, EXPIRY_FIELD, Lifetime, lifetime_of
from redisess_django.state import Key, StoreState, is_token, now

if TYPE_CHECKING:
    from django.dispatch import Signal

    from redisess_core.operation import Steps
    from redisess_core.record import Changes
    from redisess_core.session_state import SessionState

_log: Final = logging.getLogger("redisess")
_SIGNAL_OF: Final = {
    EventKind.CREATED: signals.session_created,
    EventKind.ROTATED: signals.session_rotated,
    EventKind.KILLED: signals.session_killed,
}


class StorePlans(StoreState):
    """Plans of what is done to a session; each is run blocking or awaited."""

    def __init__(self, session_key: str | None = None) -> None:
        self._happened: list[Happening] = []
        super().__init__(session_key)
        made(self)

    def loading(self) -> Steps[SessionCache]:
        """Plan to load what the key names; a key that names nothing is forgotten."""
        key, self.state = self._session_key, None
        self._cycled, self._new_key = False, None
        if key is not None and is_token(key):
            self.state = yield manager().plan_authenticate(key, touch=self.in_request)
        if self.state is None:
            self._session_key = None
        return SessionCache(self._stored_data(), self._stored_user())

    def taking_over(self, key: Key, data: SessionCache, *, once: int | None) -> Steps[SessionCache]:
        """Plan to store *data* as a new session under a key that was chosen for it; raises as `plan_create`."""
        self._session_cache, changes = data, data.changes()
        try:
            lifetime = self._lifetime(changes)
            if lifetime.over:
                return (yield from self.loading())
            signed_in = None if self._user_id() is None else 0  # before, nobody knows when
            yield from self._creating(key, changes, lifetime, authenticated_at=signed_in, once=once)
        finally:
            if self.state is None and self._data is data:
                del self._session_cache
        data.stored(changes, self._stored_data(), self._stored_user())
        return data

    def saving(self, *, must_create: bool) -> Steps[None]:
        """Plan to store what changed, and to move the expiry."""
        if must_create:
            yield from self._refusing_a_live_one()
        elif self._session_key is not None and (self.state is None or self._data is None):
            yield from self._looking_first(self._session_key)
        data = self._data
        if not isinstance(data, SessionCache):
            data = self._session_cache = cache_of(data or {}, self._stored_data(), self._stored_user())
        if SESSION_KEY in data:
            check_user_id(data[SESSION_KEY])
        try:
            yield from self._storing(data, {**data.changes(), **manager().encode_declared(self._fields)})
        except SessionGone as gone:
            _log.warning("session %s ended before it was saved; what was changed is dropped", gone.session_id)
            raise UpdateError from None
        except SessionLimitReached:
            # The sign-in is dropped, and what came with it.
            self._session_cache = SessionCache(self._stored_data(), self._stored_user())
            self._want_nothing()
            self.modified = False
            raise

    def deleting(self, key: Key) -> Steps[None]:
        """Plan the end of the session of this key."""
        if not is_token(key):
            return
        session_id, current = session_id_of(key), self.state
        killed: bool = yield manager().plan_kill(session_id, reason=EventReason.LOGOUT)
        if killed:
            own = current is not None and current.session_id == session_id
            user_id = current.user_id if own and current is not None else None
            self._happened.append(Happening(EventKind.KILLED, session_id, user_id))

    def _refusing_a_live_one(self) -> Steps[None]:
        key = self._session_key
        if key is not None:
            if is_token(key) and (yield manager().plan_open(session_id_of(key), touch=False, decode=bool)):
                raise CreateError
            self._begin_anew()

    def _looking_first(self, key: str) -> Steps[None]:
        """Look for what the key names, where the data was put together without, or was given away by `load()`."""
        data = self._data
        self._put(data, over=(yield from self.loading()), key=key)

    def _put(self, data: Any, *, over: SessionCache, key: str) -> None:
        """Go on with data that was put together before *over* was loaded; `UpdateError`: the key named nothing."""
        if self.state is None:
            self._session_key = key
            raise UpdateError
        self._session_cache = over if data is None else cache_of(data, self._stored_data(), self._stored_user())

    def _storing(self, data: SessionCache, changes: Changes) -> Steps[None]:
        current, key, lifetime = self.state, self._next_key(), self._lifetime(changes)
        if lifetime.over:
            yield from self._letting_expire()
            return
        if current is None:
            yield from self._creating(key or Key(manager().new_token(None)), changes, lifetime)
        elif key is not None or self._signs_in():
            yield from self._rotating(current, key or self._session_key or "", changes, lifetime)
        else:
            yield from self._updating(current, changes, lifetime)
        data.stored(changes, self._stored_data(), self._stored_user())
        self._want_nothing()

    def _creating(self, key: str, changes: Changes, lifetime: Lifetime, **how: Any) -> Steps[None]:
        self.state = yield from manager().plan_create(
            key, self._user_id(), {**changes, **self._client()}, ttl=lifetime.ttl, deadline=lifetime.deadline, **how
        )
        self._session_key, self._modified = key, True  # as Django's do: its cookie has yet to be sent
        self._note(EventKind.CREATED, self.state)

    def _updating(self, current: SessionState, changes: Changes, lifetime: Lifetime) -> Steps[None]:
        def decode(reply: list[Any]) -> bool:
            manager().refuse(reply, current.user_id)
            return current.touched(reply)

        stored: bool = yield manager().plan_store(
            current.session_id,
            changes,
            ttl=lifetime.ttl,
            deadline=lifetime.deadline,
            touch=not self.in_request,  # there it was touched when it was loaded
            decode=decode,
        )
        if not stored:
            raise SessionGone(current.session_id)
        current.remember(changes, lifetime.ttl)

    def _rotating(self, current: SessionState, key: str, changes: Changes, lifetime: Lifetime) -> Steps[None]:
        """Store the session under another key, or as a user's; where it leaves its user, as a new one."""
        fresh, signs_in = self._leaves_user(), self._signs_in()
        held = {DATA + name.encode(): value for name, value in readable(self._stored_data()).items()} if fresh else {}
        client: Changes = self._client() if fresh or signs_in else {}
        user_id = self._user_id() if signs_in else None
        try:
            rotated: SessionState = yield from manager().plan_rotate(
                current,
                key,
                {**held, **changes, **client},
                user_id=user_id,
                ttl=lifetime.ttl,
                deadline=lifetime.deadline,
                fresh=fresh,
            )
        except SessionGone:
            if user_id is None or current.user_id is not None:
                raise
            # A second click on "sign in": the first has rotated what was held for nobody; who signs in has signed in.
            key = key if key != self._session_key else Key(manager().new_token(user_id))
            yield from self._creating(key, {**current.carried_fields, **changes}, lifetime)
            return
        self.flushed = self.flushed or self.signs_out
        self.state, self._session_key = rotated, key
        if fresh:
            self._note(EventKind.KILLED, current)
            self._note(EventKind.CREATED, rotated)
        else:
            self._note(EventKind.ROTATED, current, rotated.session_id)

    def _letting_expire(self) -> Steps[None]:
        """Store nothing: what was to be stored is over already; what was stored before ends."""
        current = self.state
        if current is not None:
            killed: bool = yield manager().plan_kill(current.session_id, reason=EventReason.IDLE)
            if killed:
                self._note(EventKind.KILLED, current)
        self._begin_anew()
        self._want_nothing()
        self.flushed = True

    def _lifetime(self, changes: Changes) -> Lifetime:
        """Say how long the session is to live, where it begins now, or that has changed."""
        current = self.state
        begins = current is None or self._signs_in() or self.signs_out
        if not begins and EXPIRY_FIELD not in changes:
            return Lifetime()
        latest = math.inf
        if current is not None and not begins and manager().max_lifetime is not None:
            latest = max(current.authenticated_at or 0, current.created) + (manager().max_lifetime or 0)
        expiry, configured = self._data.get(EXPIRY), option("TTL")
        if not expiry and configured is not None:
            return Lifetime(configured, latest)
        return lifetime_of(expiry, age=self.get_session_cookie_age(), latest=latest, now=now())

    def _client(self) -> Changes:
        return client_changes(self.ip, self.user_agent) if manager().record_client else {}

    def _note(self, kind: EventKind, session: SessionState, successor: str | None = None) -> None:
        self._happened.append(Happening(kind, session.session_id, session.user_id, successor))

    def _take_happened(self) -> list[tuple[Signal, dict[str, Any]]]:
        """Return the signals to send, each with what it says, once."""
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
