"""The names of the keys: all of a shard's share the braces, and with them one slot. `lua/KEYS.md` has the rest."""

from __future__ import annotations


class ShardKeys:
    """The keys of one shard of a namespace, as bytes, so that no client's encoding matters."""

    __slots__ = ("activity", "events", "indexes", "mending", "number", "prefix", "users")

    def __init__(self, namespace: str, number: int) -> None:
        self.number = number
        self.prefix = f"{{{namespace}:{number}}}:".encode()
        self.activity = self.prefix + b"activity"
        self.users = self.prefix + b"users"
        self.events = self.prefix + b"events"
        self.mending = self.prefix + b"mending"
        self.indexes = (self.activity, self.prefix + b"expiry", self.users)

    def session(self, session_id: str) -> bytes:
        """Name the hash of a session."""
        return self.prefix + b"s:" + session_id.encode("ascii")

    def once(self, session_id: str) -> bytes:
        """Name what says that a session was created, and is not to be again."""
        return self.prefix + b"once:" + session_id.encode("ascii")

    def user(self, user_id: bytes) -> bytes:
        """Name the sorted set of a user's sessions."""
        return self.prefix + b"u:" + user_id


def layout_key(namespace: str) -> bytes:
    """Name the namespace's record."""
    return f"{{{namespace}}}:layout".encode()
