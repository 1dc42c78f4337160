"""What long operations do to others: `authenticate` from a second process, and the scripts that the server notes."""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self

from crowd import scheduled

from redisess_core import SessionManager
from redisess_core.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    import redis

PACE = 0.002  # seconds between two calls of the second process
NOTED = 100  # microseconds from which on the server notes a script; below that it would note each command in one


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that *part* of all are not above."""
    found = sorted(values)
    return found[min(len(found) - 1, int(part * len(found)))]


@dataclass(frozen=True, slots=True)
class Taken:
    """How long calls took, in seconds."""

    calls: list[float]

    def at(self, part: float) -> float:
        """Return a quantile in microseconds."""
        return quantile(self.calls, part) * 1e6

    def __str__(self) -> str:
        return (
            f"p50 {self.at(0.5):,.0f}, p99 {self.at(0.99):,.0f}, p99.9 {self.at(0.999):,.0f}, "
            f"longest {max(self.calls) * 1e6:,.0f} us of {len(self.calls):,}"
        )


class SecondProcess:
    """Another process, which authenticates sessions at an even pace while it is asked to."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, its_end = context.Pipe()
        self._process = context.Process(target=_authenticate, args=(its_end, url, tokens), daemon=True)
        self._process.start()
        self._line.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.send("end")
        self._process.join()

    @contextmanager
    def meanwhile(self) -> Iterator[list[float]]:
        """Let it work during the block; the list holds the seconds of each call when that has ended."""
        taken: list[float] = []
        self._line.send("start")
        try:
            yield taken
        finally:
            self._line.send("stop")
            taken += self._line.recv()

    def at_rest(self, seconds: float) -> list[float]:
        """Let it work while nothing else is asked of the server."""
        with self.meanwhile() as taken:
            time.sleep(seconds)
        return taken


def _authenticate(line: Connection, url: str, tokens: list[str]) -> None:
    with SessionManager(url) as manager:
        for token in tokens:
            manager.authenticate(token)
        line.send("ready")
        while line.recv() == "start":
            taken: list[float] = []
            while not line.poll():
                token = random.choice(tokens)
                began = time.perf_counter()
                found = manager.authenticate(token)
                taken.append(time.perf_counter() - began)
                if found is None:
                    raise RuntimeError("a session that nobody ended is gone")
                time.sleep(PACE)
            line.recv()
            line.send(taken)


class SlowLog:
    """The scripts that a server took long for, by name."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        folder = files("redisess_core") / "lua"
        names = [found.name.removesuffix(".lua") for found in folder.iterdir() if found.name.endswith(".lua")]
        self._names = {script(name).sha.encode(): name for name in names}
        client.config_set("slowlog-log-slower-than", NOTED)
        client.config_set("slowlog-max-len", 1_000_000)

    @contextmanager
    def noting(self) -> Iterator[dict[str, list[int]]]:
        """Note the scripts of the block: by name, the microseconds of each that took `NOTED` or more."""
        noted: dict[str, list[int]] = {}
        self._client.slowlog_reset()
        yield noted
        entries: Any = self._client.slowlog_get(1_000_000)
        for entry in entries:
            command = entry["command"].split(b" ")
            if command[0] == b"EVALSHA":
                noted.setdefault(self._names.get(command[1], "another"), []).append(entry["duration"])


@contextmanager
def work_by_call(client: Any, pid: int) -> Iterator[list[float]]:
    """Note the processor time of the server for each command that *client* sends in the block, in microseconds.

    It holds what the server did for others meanwhile, but not the time in which it had no processor.
    """
    noted: list[float] = []
    send = client.execute_command

    def watched(*command: Any, **options: Any) -> Any:
        before, _ = scheduled(pid)
        reply = send(*command, **options)
        noted.append((scheduled(pid)[0] - before) * 1e6)
        return reply

    client.execute_command = watched
    try:
        yield noted
    finally:
        del client.execute_command


def describe(noted: dict[str, list[int]], name: str, limit: int) -> str:
    """Say how the times of a script that was noted are spread."""
    times = noted[name]
    over = sum(each > limit for each in times)
    return (
        f"{name}: {len(times):,} of {NOTED} us or more, p50 {statistics.median(times):,.0f}, "
        f"p99 {quantile(times, 0.99):,.0f}, p99.9 {quantile(times, 0.999):,.0f}, {over} above {limit:,}"
    )
