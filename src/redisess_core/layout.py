"""The namespace's record, which a manager's first operation writes or compares; and its look at the server."""

from __future__ import annotations

import json
import logging
import re
from typing import Final

from redisess_core.errors import NamespaceMismatch, StoreUnsupported
from redisess_core.keys import layout_key
from redisess_core.operation import Operation
from redisess_core.scripts import script

LAYOUT_VERSION: Final = 1
_log = logging.getLogger("redisess")


def layout_operation(namespace: str, shards: int) -> Operation[None]:
    """Plan the first operation of a manager: record the namespace's layout, or compare it; look at the server.

    It is run again when a server has lost its scripts: it may be another one, or have lost the record as well.
    """
    settled = {"noeviction"}  # policies that are good, or were warned of
    record = json.dumps({"layout": LAYOUT_VERSION, "shards": shards}, separators=(",", ":"))

    def decode(reply: list[bytes]) -> None:
        recorded, server, memory = (part.decode("utf-8", "replace") for part in reply)
        if not recorded:
            version = re.search(r"redis_version:(\S+)", server)
            raise StoreUnsupported(f"Redis {version[1] if version else '?'} found, 6.2 or later wanted")
        if recorded != record:
            raise NamespaceMismatch(
                f"namespace {namespace!r} is recorded as {recorded[:300]}, this manager wants {record}: "
                "give it the same shards, or another namespace"
            )
        policy = re.search(r"maxmemory_policy:(\S+)", memory)
        if policy and policy[1] not in settled:
            settled.add(policy[1])
            _log.warning(
                "the Redis server may evict sessions (maxmemory-policy %s): set it to noeviction, "
                "or sessions end early and counts are wrong until they expire",
                policy[1],
            )

    return Operation(script("layout"), (layout_key(namespace),), (record,), decode)
