"""The names of the keys: all of a shard's share the braces, and with them one slot. `lua/KEYS.md` has the rest."""

from __future__ import annotations

from typing import Final

SESSION: Final = b"s:"  # what the name of a session's hash goes on with, after the shard's prefix
USER: Final = b"u:"  # and of a user's set
_SPECIAL: Final = b"*?[]^-\\"  # in a pattern


class ShardKeys:
    """The keys of one shard of a namespace, as bytes, so that no client's encoding matters."""

    __slots__ = ("activity", "events", "expiry", "indexes", "number", "prefix", "users")

    def __init__(self, namespace: str, number: int) -> None:
        self.number = number
        self.prefix = f"{{{namespace}:{number}}}:".encode()
        self.activity = self.prefix + b"activity"
        self.users = self.prefix + b"users"
        self.events = self.prefix + b"events"
        self.expiry = self.prefix + b"expiry"
        self.indexes = (self.activity, self.expiry, self.users)

    def session(self, session_id: str) -> bytes:
        """Name the hash of a session."""
        return self.prefix + SESSION + session_id.encode("ascii")

    def once(self, session_id: str) -> bytes:
        """Name what says that a session was created, and is not to be again."""
        return self.prefix + b"once:" + session_id.encode("ascii")

    def user(self, user_id: bytes) -> bytes:
        """Name the sorted set of a user's sessions."""
        return self.prefix + USER + user_id


def layout_key(namespace: str) -> bytes:
    """Name the namespace's record."""
    return f"{{{namespace}}}:layout".encode()


def namespace_pattern(namespace: str) -> bytes:
    """Return a pattern, as SCAN takes it, of the names of sessions and users' sets in all shards of a namespace."""
    escaped = b"".join(b"\\" * (byte in _SPECIAL) + bytes((byte,)) for byte in namespace.encode())
    return b"{" + escaped + b":*}:[" + SESSION[:1] + USER[:1] + b"]:*"
