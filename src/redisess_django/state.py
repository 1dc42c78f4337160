"""A session of Django's, but for what talks to Redis: its key, its user, what waits to be saved."""

from __future__ import annotations

import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase

from redisess_core.config import check_user_id
from redisess_core.record import DATA, data_of
from redisess_core.tokens import session_id_of, token_shard, user_shard
from redisess_core.web.request_mapping import TOO_LATE
from redisess_django.conf import manager
from redisess_django.data import SessionCache, cache_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redisess_core.session_state import SessionState
    from redisess_core.web import TransportName
    from redisess_django.migrate import Former

_HASH: Final = DATA + HASH_SESSION_KEY.encode()


class Key(str):
    """A session key that shows nothing of itself in a repr: reports of errors print the variables of each frame.

    The same for the value of a header that holds one.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<session key>"


class StoreState(SessionBase):
    """What is known of a session, and what is wanted of it."""

    in_request = False  # of our middleware: a new key waits for save(), and every sign-in gives one
    transport: TransportName = "cookie"  # set it to "header" for a client that reads the key, and gets no cookie
    ip: str | None = None
    user_agent: str | None = None
    flushed = False  # since it was made
    closed = False  # its response has begun
    state: SessionState | None = None  # as it is stored
    former: Former | None = None  # what its key named in the former engine, which has yet to be told
    _modified = False
    _cycled = False
    _new_key: str | None = None
    _session_cache: Any  # the data, once it was loaded or put together
    _fields: Mapping[str, Any] = MappingProxyType({})  # that were set

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_id}>"  # the key is a secret

    @property
    def session_key(self) -> str | None:
        """The token; the new one as soon as the session needs another: after `cycle_key`, or for its user's shard."""
        key = self._next_key() or self._session_key
        return None if key is None else str(key)

    def _set_session_key(self, value: str | None) -> None:
        super()._set_session_key(Key(value) if value else None)

    _session_key = property(SessionBase._get_session_key, _set_session_key)

    @property
    def session_id(self) -> str | None:
        """The public handle of the session; None: it has no key yet."""
        key = self.session_key
        return session_id_of(key) if key is not None and is_token(key) else None

    @property
    def modified(self) -> bool:
        """Whether there is something to save; what was changed in place is noticed."""
        data = self._data
        return self._modified or (isinstance(data, SessionCache) and data.changed_in_place)

    @modified.setter
    def modified(self, value: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # an attribute there
        if value and self.closed:
            raise RuntimeError(TOO_LATE)
        self._modified = value

    def is_empty(self) -> bool:
        """Whether there is no key, and nothing to store: no data, no field, no key that was asked for."""
        return not (self._cycled or self._fields) and super().is_empty()

    @property
    def current(self) -> SessionState | None:
        """The session as it is stored; None: there is none."""
        self.keys()  # loads
        return self.state

    @property
    def user_id(self) -> str | None:
        """Whose session it is: whom the data names, or who signed in by another adapter. None: anonymous."""
        self.keys()  # loads
        return self._user_id()

    @property
    def fields(self) -> dict[str, Any]:
        """Every additional field and its value; None where there is none."""
        current = self.current
        found = dict.fromkeys(manager().additional_fields) if current is None else current.fields
        return {**found, **self._fields}

    def set_fields(self, **fields: Any) -> None:
        """Set additional fields, to be saved; `TypeError` for an undeclared one, or a value that cannot be stored."""
        manager().encode_declared(fields)
        self._fields = {**self._fields, **fields}
        self.modified = True  # pyright: ignore[reportIncompatibleVariableOverride]  # the property above

    def authenticated_within(self, secs: float) -> bool:
        """Whether the user signed in in the last *secs* seconds, this request included."""
        current = self.current
        if self._signs_in():
            return True
        if current is None or current.authenticated_at is None:
            return False
        return current.last_access + current.idle - current.authenticated_at <= secs

    @property
    def leaves_nothing(self) -> bool:
        """Whether all data of a signed-in session was removed: what many applications sign out with."""
        return self.signs_out and not self._data

    @property
    def signs_out(self) -> bool:
        """Whether the user of the session as it is stored is named no longer."""
        data = self._data
        return isinstance(data, SessionCache) and data.unnames_user

    @property
    def only_renews(self) -> bool:
        """Whether nothing is wanted but another key: of a user of an old `SECRET_KEY`, or of the former engine."""
        data = self._data
        renews = self._cycled or self.former is not None
        return renews and isinstance(data, SessionCache) and set(data.changes()) <= {_HASH} and not self._fields

    def clear(self) -> None:
        """Remove all data; of a signed-in session its user, too."""
        self.modified = True  # pyright: ignore[reportIncompatibleVariableOverride]  # the property above
        self._session_cache = cache_of({}, self._stored_data(), self._stored_user())
        self._session_cache.leave()
        self._fields = {}
        self.accessed = True

    def forget(self) -> None:
        """Go on with an empty session that has no key: this one has ended."""
        closed, self.closed = self.closed, False  # to end it is never too late
        self.clear()
        self.closed = closed
        self._begin_anew()
        self._want_nothing()
        self.flushed = True

    def continue_as(self, key: str) -> None:
        """Go on with another key; what it names is to be loaded."""
        self._session_key, self.state = key, None

    @property
    def _data(self) -> Any:
        """The data, if it was loaded or put together: ours, or what somebody put in its place."""
        return vars(self).get("_session_cache")

    def _user_id(self) -> str | None:
        data = self._data
        if data is not None and SESSION_KEY in data:
            with suppress(TypeError, ValueError):  # of what is none, save() raises that
                return check_user_id(data[SESSION_KEY])
            return None
        return None if self.state is None or self.signs_out else self.state.user_id

    def _signs_in(self) -> bool:
        """Whether a user is named anew; the same one again is a sign-in, too."""
        data = self._data
        if self.state is not None and isinstance(data, SessionCache):
            return data.names_user
        user_id = self._user_id()
        return user_id is not None and (self.state is None or user_id != self.state.user_id)

    def _leaves_user(self) -> bool:
        """Whether the session was a user's, and is now another's, or nobody's."""
        return self.state is not None and self.state.user_id not in (None, self._user_id())

    def _next_key(self) -> str | None:
        """Choose the token that the session is to have, if it needs another than it has."""
        if self._data is None or not (self._cycled or self._signs_in() or self.signs_out):
            return None
        user_id = self._user_id()
        same = self.state is not None and not self._cycled and not self._leaves_user()
        if same and not self.in_request and _fits(self._session_key, user_id):
            return None
        if not _fits(self._new_key, user_id):
            beside = None if self.state is None else self.state.session_id
            self._new_key = Key(manager().new_token(user_id, beside=beside))
        return self._new_key

    def _want_nothing(self) -> None:
        self._cycled, self._new_key, self._fields = False, None, {}

    def _begin_anew(self) -> None:
        """Go on with the same data, to be stored as a new session."""
        self._session_key = None  # pyright: ignore[reportIncompatibleMethodOverride]  # the property above
        self.state = None
        self._cycled, self._new_key = False, None
        if isinstance(self._data, SessionCache):
            self._session_cache = cache_of(self._data, {})

    def _stored_data(self) -> Mapping[str, bytes]:
        return {} if self.state is None else data_of(self.state.stored_fields)

    def _stored_user(self) -> str | None:
        return None if self.state is None else self.state.user_id

    def _get_new_session_key(self) -> str:
        return manager().new_token(None)

    async def _aget_new_session_key(self) -> str:
        return manager().new_token(None)


def is_token(key: str | None) -> bool:
    """Whether *key* has the form of a token: what has another never reaches Redis."""
    return key is not None and token_shard(key, manager().shards) is not None


def now() -> float:
    """Return the time by this process's clock, or the project's own."""
    clock = manager().clock
    return time.time() if clock is None else clock()


def _fits(key: str | None, user_id: str | None) -> bool:
    """Whether a session of this key can be that user's: an anonymous one sits anywhere."""
    if key is None:
        return False
    return user_id is None or token_shard(key, manager().shards) == user_shard(user_id.encode(), manager().shards)
