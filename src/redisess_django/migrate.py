"""The move from a former engine: `REDISESS = {"MIGRATE_FROM": "django.contrib.sessions.backends.db"}`.

A session of that engine is taken over when its key is first seen: its data is stored under a token of ours, which the
response sends, be it an error, and in its place stays for ten minutes a mark that says what became of it, for requests
that were under way with the old key. The token follows from the old key by `SECRET_KEY`, so requests side by side come
to the same one; but not of an anonymous session that is held in a signed cookie, for two visitors of the same second
may have the same.

A request that read the former session before another took it over, and comes here after that one has signed out, stores
it once more. It looks at the mark then, which tells of another creation, and ends what it stored.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as InCookies
from django.utils.crypto import salted_hmac

from redisess_core import SessionDataTooLarge, SessionLimitReached, tokens
from redisess_core.config import check_user_id
from redisess_django.conf import async_manager, manager, option
from redisess_django.data import SessionCache
from redisess_django.state import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.sessions.backends.base import SessionBase

    from redisess_core.operation import Steps
    from redisess_django.sessions import SessionStore

_MOVED: Final = "_redisess_moved"
_UNDER_WAY: Final = 600  # seconds in which whoever began with the old key, or met an error, has come with the new one
_log: Final = logging.getLogger("redisess")


def is_former(key: str | None) -> bool:
    """Whether *key* may name a session of the former engine: none that has the form of a token does."""
    return bool(key and option("MIGRATE_FROM")) and tokens.token_shard(key or "", manager().shards) is None


def take_over(store: SessionStore, key: Key) -> SessionCache | None:
    """Make *store* the session of the former engine that *key* names, and return its data; None if there is none."""
    former = _former(key)
    data = dict(former.load())
    taken = manager().run(_taking(store, key, data))
    if taken is None or _MOVED in data or isinstance(former, InCookies):
        return taken
    left = dict(_former(key).load())
    if _is_marked(left, store):
        return taken
    if left and _MOVED not in left:
        with suppress(UpdateError):  # signed out by a process that runs the former engine
            _mark(former, store).save()
            return taken
    manager().run(store.dropping())
    return None


async def atake_over(store: SessionStore, key: Key) -> SessionCache | None:
    """Do what `take_over` does."""
    former = _former(key)
    data = dict(await former.aload())
    taken = await async_manager().run(_taking(store, key, data))
    if taken is None or _MOVED in data or isinstance(former, InCookies):
        return taken
    left = dict(await _former(key).aload())
    if _is_marked(left, store):
        return taken
    if left and _MOVED not in left:
        with suppress(UpdateError):
            await _mark(former, store).asave()
            return taken
    await async_manager().run(store.dropping())
    return None


def end(key: Key) -> None:
    """End the session of the former engine that *key* names, and what it became."""
    former = _former(key)
    moved = dict(former.load()).get(_MOVED)
    former.delete(key)
    if moved is not None:
        manager().kill(tokens.session_id_of(_token(key, moved[0])))


async def aend(key: Key) -> None:
    """Do what `end` does."""
    former = _former(key)
    moved = dict(await former.aload()).get(_MOVED)
    await former.adelete(key)
    if moved is not None:
        await async_manager().kill(tokens.session_id_of(_token(key, moved[0])))


def _engine() -> type[SessionBase]:
    return cast("Any", import_module(option("MIGRATE_FROM"))).SessionStore  # type: ignore[no-any-return]


def _former(key: Key) -> SessionBase:
    return _engine()(key)


def _taking(store: SessionStore, key: Key, data: Mapping[str, Any]) -> Steps[SessionCache | None]:
    if not data:
        return None
    if _MOVED in data:
        store.continue_as(_token(key, data[_MOVED][0]))
    else:
        user_id = check_user_id(data[SESSION_KEY]) if SESSION_KEY in data else None
        if user_id is None and issubclass(_engine(), InCookies):
            token = Key(manager().new_token(None))
        else:
            token = _token(key, tokens.user_shard((user_id or key).encode(), manager().shards))
        try:
            yield from store.beginning(token, _storable(data))
        except (SessionDataTooLarge, SessionLimitReached) as error:
            _log.warning("a session of the former engine cannot be taken over: %s", error)
            return None
    found = yield from store.loading()  # it may be that of a request beside this one
    store.modified = store.moved = store.state is not None  # its cookie has yet to be sent
    return None if store.state is None else found


def _token(key: Key, shard: int) -> Key:
    return Key(tokens.token_of(shard, salted_hmac("redisess_django.migrate", key, algorithm="sha256").digest()))


def _storable(data: Mapping[str, Any]) -> SessionCache:
    """Take what can be stored; a pickled value that cannot is left behind, and its key logged."""
    stored = SessionCache({})
    for key, value in data.items():
        try:
            stored[key] = value
        except (TypeError, ValueError) as error:
            _log.warning("a session was taken over without one of its values: %s", error)
    return stored


def _mark(former: SessionBase, store: SessionStore) -> SessionBase:
    """Leave only the mark in *former*: which session it is now, and when that was created."""
    former.clear()
    former[_MOVED] = _moved_to(store)
    former.set_expiry(_UNDER_WAY)
    return former


def _is_marked(left: Mapping[str, Any], store: SessionStore) -> bool:
    return left.get(_MOVED) == _moved_to(store)


def _moved_to(store: SessionStore) -> list[Any] | None:
    state = store.state
    return None if state is None else [tokens.shard_of(state.session_id), repr(state.created)]
