"""Session data under Django: a mapping that knows what differs from what is stored, and how values become bytes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.conf import global_settings, settings
from django.contrib.auth import SESSION_KEY
from django.utils.module_loading import import_string

from redisess_core import values
from redisess_core.values import Serialized
from redisess_core.web.request_data import RequestData
from redisess_core.web.request_mapping import RequestMapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redisess_core.record import Changes
    from redisess_core.web.request_data import Codec

_TYPED: Final = global_settings.SESSION_SERIALIZER


class OwnSerializer:
    """Values by a project's own `SESSION_SERIALIZER`, each apart."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._serializer: Any = import_string(path)()

    def encode(self, value: object, key: str, /) -> bytes:
        """Return *value*, the session data called *key*, as bytes."""
        return values.encode(Serialized(self._path, self._serializer.dumps(value)), key)

    def decode(self, data: bytes, /) -> Any:
        """Return the value that was encoded; of another adapter, what it stored."""
        found = values.decode(data)
        return self._serializer.loads(found.data) if isinstance(found, Serialized) else found

    def holds(self, data: bytes, value: object, key: str, /) -> bool:
        """Whether *data* is *value*, encoded; one that encrypts makes other bytes each time, so what is read counts."""
        if self.encode(value, key) == data:
            return True
        try:
            return values.encode(self.decode(data), key) == values.encode(value, key)  # 1 is not True there
        except (TypeError, ValueError):  # of what only this serializer can take, its bytes have to do
            return False


@cache
def _own_serializer(path: str) -> OwnSerializer:
    return OwnSerializer(path)


def codec() -> Codec:
    """Return what makes bytes of values: typed, unless the project sets a serializer of its own."""
    path = settings.SESSION_SERIALIZER
    return values if path == _TYPED else _own_serializer(path)


def readable(stored: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Leave out what another serializer made: to who changes the setting, it is not there, as with Django's engines."""
    own = (None, settings.SESSION_SERIALIZER)
    return {key: encoded for key, encoded in stored.items() if values.serializer_of(encoded) in own}


class SessionCache(RequestMapping):
    """The data of a session as views see it, over what is stored; notices who signs in."""

    owner: str | None  # who signed in by another adapter: not named in the data

    def __init__(self, stored: Mapping[str, bytes], owner: str | None = None) -> None:
        stored = readable(stored)
        self._data = RequestData(stored, codec())
        self._note(stored, owner)

    def _read(self) -> None:
        return

    def _write(self) -> None:
        return

    def __setitem__(self, key: str, value: Any) -> None:
        if key == SESSION_KEY:
            if self.owner not in (None, str(value)):
                self.clear()  # what another user's session held
            self._named_user = True
        self._data.set(key, value)

    @property
    def names_user(self) -> bool:
        """Whether a user was named since it was stored: another one, or the same again."""
        return self._named_user and SESSION_KEY in self

    @property
    def unnames_user(self) -> bool:
        """Whether a user was named in what is stored, or signed in by another adapter, and is no longer there."""
        named = SESSION_KEY in self._stored or (self._left and self.owner is not None)
        return named and SESSION_KEY not in self

    def leave(self) -> None:
        """Name nobody any longer, also not who signed in by another adapter."""
        self._left = True

    @property
    def changed_in_place(self) -> bool:
        """Whether a value that was handed out has changed since."""
        return self._data.changed_in_place

    def changes(self) -> Changes:
        """Return what differs from what is stored, as fields of the hash."""
        return self._data.changes()

    def stored(self, changes: Changes, found: Mapping[str, bytes], owner: str | None) -> None:
        """Go on from *found*, which *changes* are part of now."""
        found = readable(found)
        self._data.rebase(changes, found)
        self._note(found, owner)

    def _note(self, stored: Mapping[str, bytes], owner: str | None) -> None:
        self._stored, self._named_user, self._left = stored, False, False
        self.owner = None if SESSION_KEY in stored else owner


def cache_of(data: Mapping[str, Any], stored: Mapping[str, bytes], owner: str | None = None) -> SessionCache:
    """Return *data* over what is stored: what of that it does not hold is deleted."""
    over = SessionCache(stored)
    for key in list(over):
        del over[key]
    over.update(data)
    over.owner = None if SESSION_KEY in stored else owner  # last: it is what was put together that stays
    return over
