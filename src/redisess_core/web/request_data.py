"""Session data in a request: what was loaded, and what differs from it in the end."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from redisess_core import values
from redisess_core.config import check_data_key
from redisess_core.record import DATA, Changes

if TYPE_CHECKING:
    from collections.abc import Mapping

# Values that cannot change behind our back: what was read of them needs no second look.
_FIXED: Final = frozenset({type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID})


class Codec(Protocol):
    """Makes bytes of a value and back, as the module `values` does."""

    def encode(self, value: object, key: str, /) -> bytes:
        """Return *value*, the session data called *key*, as bytes; raises `TypeError` or `ValueError`."""
        ...

    def decode(self, data: bytes, /) -> Any:
        """Return the value that was encoded."""
        ...

    def holds(self, data: bytes, value: object, key: str, /) -> bool:
        """Whether *data* is *value*, encoded; raises as `encode` does."""
        ...


class RequestData:
    """Values as a request reads and changes them, over those that were loaded; each is decoded once."""

    __slots__ = ("_assigned", "_codec", "_deleted", "_loaded", "_values")

    def __init__(self, loaded: Mapping[str, bytes], codec: Codec = values) -> None:
        self._codec = codec
        self._loaded = loaded
        self._values: dict[str, Any] = {}
        self._assigned: dict[str, bytes] = {}
        self._deleted: set[str] = set()

    def forget(self, changes: Changes) -> None:
        """Go back to what was loaded, but for what has changed again since *changes* were taken."""
        for field, encoded in changes.items():
            key = field.removeprefix(DATA).decode()
            if self._is_still(key, encoded):
                self._values.pop(key, None)
                self._assigned.pop(key, None)
                self._deleted.discard(key)

    def _is_still(self, key: str, encoded: bytes | None) -> bool:
        if key not in self._values:
            return encoded is None
        value = self._values[key]
        if type(value) in _FIXED:
            return encoded == self._assigned.get(key)
        try:
            return not self._differs(encoded, value, key)
        except (TypeError, ValueError):  # made unstorable in place
            return False

    def _differs(self, encoded: bytes | None, value: object, key: str) -> bool:
        return encoded is None or not self._codec.holds(encoded, value, key)

    def since(self, changes: Changes) -> dict[str, Any]:
        """Return what has been assigned since *changes* were taken."""
        return {
            key: self._values[key]
            for key, encoded in self._assigned.items()
            if encoded != changes.get(DATA + key.encode(), self._loaded.get(key))
        }

    def rebase(self, changes: Changes, found: Mapping[str, bytes]) -> None:
        """Go on from *found*, which *changes* are part of now; a value that was handed out stays the same object.

        It stays what it was, too, where *found* holds what another request made of it: else that would be undone.
        """
        known = {key: changes.get(DATA + key.encode(), self._loaded.get(key)) for key in self._values}
        self._loaded = {**found, **{key: encoded for key, encoded in known.items() if encoded is not None}}
        self._assigned = {key: it for key, it in self._assigned.items() if it != self._loaded.get(key)}
        self._deleted = {key for key in self._deleted if key in self._loaded and key not in self._values}

    def get(self, key: str) -> Any:
        """Return a value, always the same object; raises `KeyError`."""
        if key not in self._values:
            if key in self._deleted:
                raise KeyError(key)
            self._values[key] = self._codec.decode(self._loaded[key])
        return self._values[key]

    def set(self, key: str, value: Any) -> None:
        """Take a value; raises `TypeError` for one that cannot be stored."""
        self._assigned[check_data_key(key)] = self._codec.encode(value, key)
        self._values[key] = value

    def delete(self, key: str) -> None:
        """Remove a value; raises `KeyError`."""
        if not self.has(key):
            raise KeyError(key)
        self._values.pop(key, None)
        self._assigned.pop(key, None)
        self._deleted.add(key)

    def has(self, key: object) -> bool:
        """Whether there is such a value."""
        return key in self._values or (key in self._loaded and key not in self._deleted)

    def keys(self) -> list[str]:
        """Return the keys, those that were loaded first."""
        kept = [key for key in self._loaded if key not in self._deleted]
        return [*kept, *(key for key in self._values if key not in self._loaded or key in self._deleted)]

    @property
    def may_differ(self) -> bool:
        """Whether anything may differ from what was loaded: known without encoding what `changes` compares."""
        return bool(self._assigned or self._deleted) or not _FIXED.issuperset(map(type, self._values.values()))

    @property
    def changed_in_place(self) -> bool:
        """Whether a value that was read or assigned has changed since behind our back."""
        return any(
            self._differs(self._assigned.get(key, self._loaded.get(key)), value, key)
            for key, value in self._values.items()
            if type(value) not in _FIXED
        )

    def changes(self) -> Changes:
        """Return what differs from what was loaded, by encoding, as fields of the hash.

        Raises `TypeError` for a value that was made unstorable in place.
        """
        changed: dict[bytes, bytes | None] = {
            DATA + key.encode(): None for key in self._deleted if key in self._loaded and key not in self._values
        }
        for key, value in self._values.items():
            fixed, loaded = type(value) in _FIXED, self._loaded.get(key)
            if fixed and key not in self._assigned:
                continue
            if not fixed and not self._differs(loaded, value, key):
                continue
            encoded = self._assigned[key] if fixed else self._codec.encode(value, key)
            if encoded != loaded:
                changed[DATA + key.encode()] = encoded
        return changed
