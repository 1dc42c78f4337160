"""What `check` and `verify` share: a namespace's record, which says how it is laid out, and the lines of a report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from redisess_core import RedisessError, SessionManager
from redisess_core.config import check_namespace
from redisess_core.keys import layout_key
from redisess_core.wording import counted


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; *sound*: nothing has to be done about it."""

    name: str
    text: str
    sound: bool = True


def check_location(url: str, namespace: str) -> None:
    """Raise `ValueError` where *url* or *namespace* can lead to nothing that another process has stored."""
    check_namespace(namespace)
    if url.startswith("memory:"):
        raise ValueError("--url: memory:// given, which lives and ends within its process; a server's URL wanted")


def record_of(client: Any, namespace: str) -> dict[str, Any] | None:
    """Return the namespace's record; None if it was never used."""
    stored = client.get(layout_key(namespace))
    if stored is None:
        return None
    try:
        record: dict[str, Any] = json.loads(stored)
        int(record["shards"])
    except (ValueError, TypeError, KeyError):
        raise RedisessError(f"the namespace's record is not one of redisess: {stored[:100]!r}") from None
    return record


def layout_of(namespace: str, record: dict[str, Any] | None) -> Finding:
    """Say how the namespace is laid out."""
    if record is None:
        return Finding("Namespace", f"{namespace}: never used here")
    shards = int(record["shards"])
    return Finding("Namespace", f"{namespace}: layout {record.get('layout')}, {counted(shards, 'shard')}")


def recorded_manager(url: str, namespace: str, record: dict[str, Any]) -> SessionManager:
    """Make a manager with the shards of the record."""
    return SessionManager(url, namespace=namespace, shards=int(record["shards"]))
