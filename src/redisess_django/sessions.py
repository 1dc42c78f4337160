"""The session engine: `SESSION_ENGINE = "redisess_django.sessions"`.

A session key is a token; in Redis is its hash. Whose a session is follows from its data, when that is saved. The key
and the user are found in `state`, what is asked of Redis is planned in `store_plans`; here it is run.
"""

from __future__ import annotations

from typing import Any

from redisess_core.tokens import session_id_of
from redisess_django import migrate
from redisess_django.conf import async_manager, manager
from redisess_django.data import SessionCache
from redisess_django.state import Key, is_token
from redisess_django.store_plans import StorePlans


class SessionStore(StorePlans):
    """A session of Django's over Redis; every call that reads or writes is one round trip, one atomic script.

    Raises what Django's engines raise, `StoreUnavailable` where Redis cannot be reached, `SessionLimitReached`,
    `SessionDataTooLarge`, and `TypeError` at the assignment of a value that cannot be stored. A method whose name
    begins with an `a` does in async code what the one without does.
    """

    def load(self) -> dict[str, Any]:
        """Load the session's data; of an unknown key, none: it is forgotten, and nothing is stored."""
        return dict(self._load())

    async def aload(self) -> dict[str, Any]:  # noqa: D102
        return dict(await self._aload())

    def _load(self) -> SessionCache:
        key = self._session_key
        if key is None or not migrate.is_former(key):
            return manager().run(self.loading())
        found = migrate.take_over(self, key)
        self._tell()
        return found

    async def _aload(self) -> SessionCache:
        key = self._session_key
        if key is None or not migrate.is_former(key):
            return await async_manager().run(self.loading())
        found = await migrate.atake_over(self, key)
        await self._atell()
        return found

    def _get_session(self, no_load: bool = False) -> Any:
        self.accessed = True
        if self._data is None:
            self._session_cache = SessionCache({}) if no_load or self._session_key is None else self._load()
        return self._session_cache

    async def _aget_session(self, no_load: bool = False) -> Any:
        self.accessed = True
        if self._data is None:
            found = SessionCache({}) if no_load or self._session_key is None else await self._aload()
            if self._data is None:  # no other task was faster, and has changed it since
                self._session_cache = found
        return self._session_cache

    _session = property(_get_session)  # Django's is of its own method, and would begin with a dict

    def open(self) -> None:
        """Load the data at a request's start, which does not count as an access by the view."""
        self._session_cache = self._load()

    async def aopen(self) -> None:  # noqa: D102
        self._session_cache = await self._aload()

    def exists(self, session_key: str | None) -> bool:
        """Whether there is a live session of this key."""
        session_key = Key(session_key or "")
        return is_token(session_key) and manager().exists(session_id_of(session_key))

    async def aexists(self, session_key: str | None) -> bool:  # noqa: D102
        session_key = Key(session_key or "")
        return is_token(session_key) and await async_manager().exists(session_id_of(session_key))

    def create(self) -> None:
        """Store what there is as a new session, with a new key."""
        self._begin_anew()
        self.save(must_create=True)

    async def acreate(self) -> None:  # noqa: D102
        self._begin_anew()
        await self.asave(must_create=True)

    def save(self, must_create: bool = False) -> None:
        """Store what changed, and move the expiry; raises `UpdateError` if the session is no longer there.

        A session that has no key is created. Raises `CreateError` where *must_create* and the key names a live one; a
        key that names none is not taken up, but replaced.
        """
        key, data = self._session_key, self._data
        if key is not None and migrate.is_former(key):  # it was not read
            self._put(data, over=self._load(), key=key)
        manager().run(self.saving(must_create=must_create))
        try:
            migrate.tell_former(self)
        finally:
            self._tell()

    async def asave(self, must_create: bool = False) -> None:  # noqa: D102
        key, data = self._session_key, self._data
        if key is not None and migrate.is_former(key):
            self._put(data, over=await self._aload(), key=key)
        await async_manager().run(self.saving(must_create=must_create))
        try:
            await migrate.atell_former(self)
        finally:
            await self._atell()

    def delete(self, session_key: str | None = None) -> None:
        """End the session of this key, or else this one, at once and for good."""
        session_key = Key(session_key or self._session_key or "")
        manager().run(self.deleting(session_key))
        migrate.end(self, self._former_of(session_key))
        self._tell()

    async def adelete(self, session_key: str | None = None) -> None:  # noqa: D102
        session_key = Key(session_key or self._session_key or "")
        await async_manager().run(self.deleting(session_key))
        await migrate.aend(self, self._former_of(session_key))
        await self._atell()

    def flush(self) -> None:
        """End the session, and go on with an empty one that has no key."""
        self.delete()
        self.forget()

    async def aflush(self) -> None:  # noqa: D102
        await self.adelete()
        self.forget()

    def cycle_key(self) -> None:
        """Give the session a new key; the old one is dead at once, under our middleware when that saves it."""
        self.keys()  # loaded now
        self.modified = self._cycled = True
        if not self.in_request:
            self.save()

    async def acycle_key(self) -> None:  # noqa: D102
        await self.akeys()
        self.modified = self._cycled = True
        if not self.in_request:
            await self.asave()

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what is left of expired sessions; nobody has to."""
        manager().wipe()

    @classmethod
    async def aclear_expired(cls) -> None:  # noqa: D102
        await async_manager().wipe()

    def _former_of(self, key: Key) -> migrate.Former | None:
        own = self.former if key == (self._session_key or "") else None
        return own or (migrate.Former(key) if key and migrate.is_former(key) else None)

    def _tell(self) -> None:
        for signal, told in self._take_happened():
            signal.send(type(self), **told)

    async def _atell(self) -> None:
        for signal, told in self._take_happened():
            await signal.asend(type(self), **told)
