"""What happens to Redis: `with FAULTS["killed"](server): ...`, and all is well again after the block."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import redis

from support.server import NoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.server import Server

DEADLINE = 30.0
KEEPING = ("--appendonly", "yes", "--appendfsync", "always")
"""What a server is started with that has everything after `killed` and `loading` that it had before."""

EVICTING = ("--maxmemory-policy", "allkeys-lfu", "--maxmemory-samples", "64", "--lfu-log-factor", "0")
"""What a server is started with that `evict` is used on: it looks at some 64 keys, and counts every use of one."""

_TO_LOAD = b"*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n" * 1_500_000
_SLOWLY = -8  # a nap every so many commands


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until *condition* gives something true, and give that."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.01)
    return found


def at_once(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Make all calls, each in a thread of its own; give what they returned or raised. One that hangs fails the test."""
    outcomes: dict[str, Any] = {}

    def run(name: str) -> None:
        try:
            outcomes[name] = calls[name]()
        except Exception as error:  # noqa: BLE001  the test looks at it
            outcomes[name] = error

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in calls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    hanging = calls.keys() - outcomes.keys()
    assert not hanging, f"no end within {DEADLINE:.0f} s: {sorted(hanging)}"
    return {name: outcomes[name] for name in calls}


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Let it be ended by -9, and started again."""
    server.kill()
    yield
    server.start()


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Let it stand still: connections stay open, nothing is answered."""
    server.pause()
    yield
    server.resume()


@contextmanager
def loading(server: Server) -> Iterator[None]:
    """Let it be started again, and be busy with its file until the block ends. It has to be one of `KEEPING`."""

    def start() -> None:
        with suppress(NoServer):
            server.start()

    server.kill()
    with _append_only_file(server).open("ab") as file:
        file.write(_TO_LOAD)
    arguments = server.arguments
    server.arguments = (*arguments, "--key-load-delay", str(_SLOWLY))
    starting = threading.Thread(target=start)
    starting.start()
    with redis.Redis.from_url(server.url, retry=None) as client:
        eventually(lambda: _is_loading(client), "it loads")
        try:
            yield
            assert _is_loading(client), "it had loaded too early"
        finally:
            try:
                client.config_set("key-load-delay", 0)
            except redis.ResponseError:  # before 7.0 it takes no orders yet
                server.kill()
            starting.join()
            server.arguments = arguments
            server.start()


def _append_only_file(server: Server) -> Path:
    names = ("appendonly.aof", ".incr.aof")  # before 7.0 there is one
    return next(path for path in server.directory.rglob("appendonly.aof*") if path.name.endswith(names))


def _is_loading(client: redis.Redis) -> bool:
    try:
        return bool(client.info("persistence")["loading"])
    except redis.ConnectionError:
        return False


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """Let it be a replica that has lost its master."""
    client = server.client()
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def out_of_memory(server: Server) -> Iterator[None]:
    """Let it have no memory left, and evict nothing."""
    client = server.client()
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
    yield
    client.config_set("maxmemory", 0)


FAULTS: dict[str, Callable[[Server], AbstractContextManager[None]]] = {
    "killed": killed,
    "paused": paused,
    "loading": loading,
    "read-only": read_only,
    "out of memory": out_of_memory,
}


def evict(server: Server, key: str) -> None:
    """Make memory short until Redis evicts *key*, which is used least, and give it enough again."""
    client = server.client()
    assert client.exists(key)
    before = client.info("stats")["evicted_keys"]
    for other in client.scan_iter(count=1000):
        if other != key.encode():
            client.eval("for i = 1, 250 do redis.call('TOUCH', KEYS[1]) end", 1, other)
    limit = client.info("memory")["used_memory"] + 50_000
    while client.exists(key):  # by small steps, as what a command itself takes is part of it
        limit -= 50
        client.config_set("maxmemory", limit)
    client.config_set("maxmemory", 0)
    assert client.info("stats")["evicted_keys"] == before + 1
