"""The move from a former engine: `REDISESS = {"MIGRATE_FROM": "django.contrib.sessions.backends.db"}`.

A session of that engine is taken over when its key is first seen: its data is stored under a token of ours, which the
response sends, and in its place stays a mark that says where it went, for requests that were under way with the old
key. The token follows from the old key by `SECRET_KEY`, so requests side by side come to the same one; but not of an
anonymous session that is held in a signed cookie, for two visitors of the same second may have the same.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.signed_cookies import SessionStore as InCookies
from django.utils.crypto import salted_hmac

from redisess_core import tokens
from redisess_core.config import check_user_id
from redisess_django.conf import async_manager, manager, option
from redisess_django.data import SessionCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.sessions.backends.base import SessionBase

    from redisess_core.operation import Steps
    from redisess_django.sessions import SessionStore

_MOVED: Final = "_redisess_shard"
_log: Final = logging.getLogger("redisess")


def is_former(key: str | None) -> bool:
    """Whether *key* may name a session of the former engine: none that has the form of a token does."""
    return key is not None and bool(option("MIGRATE_FROM")) and tokens.token_shard(key, manager().shards) is None


def take_over(store: SessionStore, key: str) -> SessionCache | None:
    """Make *store* the session of the former engine that *key* names, and return its data; None if there is none."""
    if not is_former(key):
        return None
    former = _former(key)
    data = dict(former.load())
    taken = manager().run(_taking(store, former, data))
    if _marked(former, store, data):
        former.save()
    return taken


async def atake_over(store: SessionStore, key: str) -> SessionCache | None:
    """Do what `take_over` does."""
    if not is_former(key):
        return None
    former = _former(key)
    data = dict(await former.aload())
    taken = await async_manager().run(_taking(store, former, data))
    if _marked(former, store, data):
        await former.asave()
    return taken


def _former(key: str) -> SessionBase:
    engine: Any = import_module(option("MIGRATE_FROM"))
    return cast("SessionBase", engine.SessionStore(key))


def _taking(store: SessionStore, former: SessionBase, data: Mapping[str, Any]) -> Steps[SessionCache | None]:
    key = former.session_key
    if not data or key is None:
        return None
    if _MOVED in data:
        store.continue_as(_token(key, data[_MOVED]))
        found = yield from store.loading()
        store.modified = store.state is not None  # its cookie has yet to be sent
        return found
    user_id = check_user_id(data[SESSION_KEY]) if SESSION_KEY in data else None
    if user_id is None and isinstance(former, InCookies):
        token = manager().new_token(None)
    else:
        token = _token(key, tokens.user_shard((user_id or key).encode(), manager().shards))
    return (yield from store.beginning(token, _storable(data)))


def _token(key: str, shard: int) -> str:
    return tokens.token_of(shard, salted_hmac("redisess_django.migrate", key, algorithm="sha256").digest())


def _storable(data: Mapping[str, Any]) -> SessionCache:
    """Take what can be stored; a pickled value that cannot is left behind, and its key logged."""
    stored = SessionCache({})
    for key, value in data.items():
        try:
            stored[key] = value
        except (TypeError, ValueError) as error:
            _log.warning("a session was taken over without one of its values: %s", error)
    return stored


def _marked(former: SessionBase, store: SessionStore, data: Mapping[str, Any]) -> bool:
    """Leave only the mark in *former*, where its session was taken over; say whether that is to be saved."""
    if not data or _MOVED in data or store.state is None:
        return False
    former.clear()
    former[_MOVED] = tokens.shard_of(store.state.session_id)
    return True
