"""A session's hash, as scripts give and take it: names of its fields, values, replies. `lua/KEYS.md` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from redisess_core import values
from redisess_core.config import MAX_KEYS, check_data
from redisess_core.errors import RedisessError, SessionDataTooLarge

FIELD: Final = b"f:"
DATA: Final = b"d:"

Changes = Mapping[bytes, bytes | None]  # fields of the hash to store; None removes one


class SessionData(Mapping[str, Any]):
    """Session data as it was loaded; a value is decoded when it is asked for."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: dict[str, bytes]) -> None:
        self.encoded = encoded

    def __getitem__(self, key: str) -> Any:
        return values.decode(self.encoded[key])

    def __contains__(self, key: object) -> bool:
        return key in self.encoded

    def __iter__(self) -> Iterator[str]:
        return iter(self.encoded)

    def __len__(self) -> int:
        return len(self.encoded)

    def __repr__(self) -> str:
        return f"<session data: {len(self)} keys>"  # values are the application's secrets


class Stored:
    """The reply to a store: what came of it."""

    __slots__ = ("deleted", "last_access")

    def __init__(self, reply: list[Any], max_data_bytes: int) -> None:
        if reply[0] == b"large":
            raise too_large(reply, max_data_bytes)
        if reply[0] != b"stored":
            raise RedisessError(f"the script store answered {reply[0]!r}")
        self.last_access: bytes = reply[2]
        self.deleted = int(reply[3])


def pairs(reply: list[Any]) -> dict[bytes, Any]:
    """Read a session as scripts give it: name and value by turns, then the time, which is called `now` here."""
    reply.insert(-1, b"now")
    parts = iter(reply)
    return dict(zip(parts, parts, strict=True))


def encode_fields(fields: Mapping[str, Any]) -> dict[bytes, bytes | None]:
    """Encode additional fields as fields of the hash; None removes one."""
    return {
        FIELD + name.encode(): None if value is None else values.encode(value, name) for name, value in fields.items()
    }


def encode_data(data: object) -> dict[bytes, bytes | None]:
    """Encode session data as fields of the hash."""
    return {DATA + key.encode(): values.encode(value, key) for key, value in check_data(data).items()}


def data_of(hash_fields: Changes) -> dict[str, bytes]:
    """Return the session data among fields of the hash, still encoded."""
    return {name[2:].decode(): value for name, value in hash_fields.items() if value is not None and name[:2] == DATA}


def measure(stored: Iterable[tuple[bytes, bytes]], max_bytes: int) -> int:
    """Count the bytes of session data among fields of a new hash, as the scripts do; raise if that is too much."""
    sizes = [len(name) - len(DATA) + len(value) for name, value in stored if name[:2] == DATA]
    if sum(sizes) > max_bytes:
        raise SessionDataTooLarge(sum(sizes), max_bytes)
    check_keys(len(sizes))
    return sum(sizes)


def check_keys(number: int) -> None:
    """Refuse more keys of data than a session holds."""
    if number > MAX_KEYS:
        raise SessionDataTooLarge(number, MAX_KEYS, "keys")


def too_large(reply: list[Any], max_bytes: int) -> SessionDataTooLarge:
    """Return what a script says of data that it did not store: how much it would be, of what."""
    if reply[2] == b"keys":
        return SessionDataTooLarge(int(reply[1]), MAX_KEYS, "keys")
    return SessionDataTooLarge(int(reply[1]), max_bytes)


def read_number(text: bytes) -> float:
    """Read a number; a whole one stays an int."""
    return int(text) if text.isdigit() else float(text)


def read_time(text: bytes) -> float:
    """Read a time: seconds, or whole microseconds where there is no point in it; `lua/KEYS.md` says why."""
    return int(text) / 1_000_000 if text.isdigit() else float(text)


def read_text(value: bytes | None) -> str | None:
    """Read text, whatever its bytes."""
    return None if value is None else value.decode("utf-8", "replace")
