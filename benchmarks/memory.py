"""What Redis keeps for a session, and where it goes.

    uv run python benchmarks/memory.py [--sessions 100000] [--users 50000] [--touched]

On the server that REDISESS_REDIS_SERVER names: a path, "6.2" or "8"; by default the system's. `--touched` reads every
session once more after all are made, as those are that somebody uses.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from measure import Row, Server, print_table

from redisess_core import SessionManager

if TYPE_CHECKING:
    import redis

GOAL = 700  # bytes a session, on Redis 7.0 with the default numbers
SAMPLES = 200


def used_memory(client: redis.Redis) -> int:
    known: Any = client.info("memory")
    return int(known["used_memory"])


def memory_of(client: redis.Redis, key: bytes) -> int:
    """Return what a key takes, its name and its place in the keyspace included."""
    found: Any = client.memory_usage(key, samples=0)
    return int(found or 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--touched", action="store_true")
    options = parser.parse_args()
    with Server() as server:
        client = server.client()
        manager = SessionManager(client, additional_fields=["group"], touch_interval=0)
        manager.count()  # the scripts' first use and the namespace's record are no session's
        before = used_memory(client)
        tokens = [
            manager.create(f"user{number % options.users}", group="staff").token for number in range(options.sessions)
        ]
        if options.touched:
            for token in tokens:
                manager.authenticate(str(token))
        total = (used_memory(client) - before) / options.sessions

        keys = list(client.scan_iter(match=b"{sessions:0}:*", count=10_000))
        hashes = [key for key in keys if b"}:s:" in key]
        user_sets = [key for key in keys if b"}:u:" in key]

        def mean(found: list[bytes], many: int) -> float:
            sample = found[:: max(1, len(found) // SAMPLES)]
            return sum(memory_of(client, key) for key in sample) / len(sample) * many / options.sessions

        parts = {
            "the session's hash": mean(hashes, len(hashes)),
            "its part of the user's set": mean(user_sets, len(user_sets)),
            **{
                f"its part of the index {name}": memory_of(client, f"{{sessions:0}}:{name}".encode()) / options.sessions
                for name in ("activity", "expiry", "users")
            },
        }
        known: Any = client.info("server")
        usual = (options.sessions, options.users) == (100_000, 50_000) and known["redis_version"].startswith("7.0.")
        rows = [
            Row("a session", total, GOAL if usual else None),
            *(Row(f"  {name}", size) for name, size in parts.items()),
            Row("  expiry of keys, tables, rounding", total - sum(parts.values())),
        ]
        print_table(
            f"Redis {known['redis_version']}, {options.sessions:,} sessions of {options.users:,} users",
            "bytes",
            rows,
        )
    return int(rows[0].verdict == "missed")


if __name__ == "__main__":
    sys.exit(main())
