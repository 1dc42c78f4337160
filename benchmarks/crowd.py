"""Fills a namespace with many sessions fast: the manager's own plans, their first step sent by pipelines."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from redisess_core import SessionManager
    from redisess_core.operation import Operation

PIPELINE = 250  # creations sent at once
KEPT = 100_000  # tokens remembered: enough that no cache holds what they lead to


def fill(
    manager: SessionManager,
    client: redis.Redis,
    *,
    sessions: int,
    users: int,
    ttls: Sequence[float | None] = (None,),
    **fields: Any,
) -> list[str]:
    """Create *sessions* sessions, spread evenly over *users*; return the tokens of some `KEPT` of them.

    A user's sessions have the *ttls* in turn.
    """
    manager.count()  # the server knows the namespace now
    tokens: list[str] = []
    plans = (
        first_step(manager, "create", f"user{number % users}", ttl=ttls[number // users % len(ttls)], **fields)
        for number in range(sessions)
    )
    every = max(1, sessions // KEPT)
    for number, session in enumerate(through_pipelines(client, plans)):
        if number % every == 0:
            tokens.append(session.token)
    random.Random(0).shuffle(tokens)
    return tokens


def first_step(manager: SessionManager, name: str, *arguments: Any, **options: Any) -> Operation[Any]:
    """Plan an operation of several steps of which the first is all, where no limit and no slice asks for more."""
    planned: Any = manager.planned(name, *arguments, **options)
    return next(planned)


def through_pipelines(client: redis.Redis, operations: Iterator[Operation[Any]]) -> Iterator[Any]:
    """Run operations, many in one round trip of *client*; yield what they come to."""
    loaded: set[str] = set()
    while batch := [operation for _, operation in zip(range(PIPELINE), operations, strict=False)]:
        pipeline = client.pipeline(transaction=False)
        for operation in batch:
            if operation.script.name not in loaded:
                client.script_load(operation.script.source)
                loaded.add(operation.script.name)
            keys = operation.keys
            pipeline.execute_command("EVALSHA", operation.script.sha, len(keys), *keys, *operation.args)
        for operation, reply in zip(batch, pipeline.execute(), strict=True):
            yield operation.decode(reply)


def used_memory(client: redis.Redis) -> int:
    """Return what the server's data takes, in bytes."""
    known: Any = client.info("memory")
    return int(known["used_memory"])


def first_in_line(pid: int) -> None:
    """Let process *pid* run before all others whenever it has something to do; the system has to allow it."""
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


@contextmanager
def placed(servers: list[int]) -> Iterator[None]:
    """Keep servers to one processor and this process to others, so that all servers are as far from it."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) == 1:
        yield
        return
    first, *others = sorted(os.sched_getaffinity(0))
    for pid in servers:
        os.sched_setaffinity(pid, {others[0]})
    os.sched_setaffinity(0, {first, *others[1:]})
    try:
        yield
    finally:
        for pid in (0, *servers):
            os.sched_setaffinity(pid, {first, *others})


def scheduled(pid: int) -> tuple[float, float]:
    """Return for how many seconds a process had a processor so far, and waited for one; 0 where nobody says."""
    path = Path(f"/proc/{pid}/task/{pid}/schedstat")
    if not path.exists():
        return 0.0, 0.0
    ran, waited, _ = map(int, path.read_text().split())
    return ran / 1e9, waited / 1e9
