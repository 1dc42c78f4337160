"""The fixtures that every suite shares. CONTRIBUTING.md says how to use them."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.both import COLOURS, open_manager
from support.clients import client_of
from support.clock import FakeClock
from support.server import Server, patient
from support.topology import ON_A_CLUSTER, ONE_SERVER, SharedCluster, shared, watch_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import redis

    from support.wire import Seen

STRAGGLE_SECONDS = 5.0
_namespaces = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be asked of a cluster, where the tests run on one."""
    left_out = [item for item in items if ON_A_CLUSTER and item.name.partition("[")[0] in ONE_SERVER]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What `@pytest.mark.anyio` runs on: redis-py knows asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the test that leaves a thread or a process running; an unclosed loop is a warning, so an error."""
    threads, processes = set(threading.enumerate()), _processes()
    yield
    deadline = time.monotonic() + STRAGGLE_SECONDS
    while left := [*(set(threading.enumerate()) - threads - _kept()), *map(_named, _processes() - processes)]:
        if time.monotonic() > deadline:
            pytest.fail(f"The test left running: {left}")
        time.sleep(0.01)


def _kept() -> set[threading.Thread]:
    """Give the threads that asgiref, under Django, keeps for the whole process on purpose."""
    asgiref = sys.modules.get("asgiref.sync")
    return set(asgiref.SyncToAsync.single_thread_executor._threads) if asgiref else set()


def _processes() -> set[str]:
    """Give this process's children by number, but for a laboratory's; a dead one that nobody waited for is one too."""
    found: set[str] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(children.read_text().split())
        except OSError:  # the thread ended meanwhile
            continue
    laboratory = sys.modules.get("support.laboratory")
    kept = [opened.processes for opened in laboratory.Laboratory.open] if laboratory else []
    return found - {str(process) for processes in kept for process in processes}


def _named(process: str) -> str:
    try:
        return f"{process} {Path('/proc', process, 'comm').read_text().strip()}"
    except OSError:
        return process


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server | SharedCluster]:
    """Run one server for the whole run; a test that stops, pauses or configures one takes `start_server`.

    Where `REDISESS_TOPOLOGY` says so, it is a cluster.
    """
    with shared() as server:
        yield server


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Start servers of the test's own: `start_server("--maxmemory", "2mb")`; they end with the test."""
    with ExitStack() as ends:
        yield lambda *arguments, **options: ends.enter_context(Server(*arguments, **options))


@pytest.fixture(scope="session")
def _flushing(redis_server: Server | SharedCluster) -> redis.Redis | redis.RedisCluster:
    return redis_server.client()


@pytest.fixture
def redis_url(redis_server: Server | SharedCluster, _flushing: redis.Redis | redis.RedisCluster) -> str:
    """The URL of the shared server, emptied."""
    _flushing.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis | redis.RedisCluster]:
    """A client of the shared server, emptied: to look at what is really stored."""
    with client_of(redis_url) as client:
        yield client


@pytest.fixture
def wire(redis_server: Server | SharedCluster) -> Callable[..., AbstractContextManager[Seen]]:
    """See what reaches a server (default: the shared one): `with wire() as seen: ...`, then `seen.names`."""
    return lambda server=None: watch_all(server or redis_server)


@pytest.fixture
def clock() -> FakeClock:
    """A clock to set, that `manager` goes by: `clock.advance(60)`."""
    return FakeClock()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test has."""
    return f"test{next(_namespaces)}"


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    """Which manager the test runs with; for one only, `@pytest.mark.parametrize("colour", ["blocking"])`."""
    return request.param


@pytest.fixture
def default_shards(request: pytest.FixtureRequest) -> int | None:
    """How many shards managers of the shared server have unless a test says: one where it is marked `one_shard`."""
    return 1 if request.node.get_closest_marker("one_shard") else None


@pytest.fixture
def make_manager(
    redis_url: str, colour: str, namespace: str, default_shards: int | None
) -> Iterator[Callable[..., Any]]:
    """Make managers of one colour in the test's namespace, closed at its end.

    Takes the manager's options, and `url` (another server's, or `memory://`), `client_options` (make the
    client here, with them). Each async manager has an event loop of its own. All are patient with the shared server.
    """
    with ExitStack() as ends:

        def make(url: str = patient(redis_url), **options: Any) -> Any:
            options.setdefault("namespace", namespace)
            if default_shards is not None:
                options.setdefault("shards", default_shards)
            return ends.enter_context(open_manager(colour, url, **options))

        yield make


@pytest.fixture
def manager(make_manager: Callable[..., Any], clock: FakeClock) -> Any:
    """A manager with default options that goes by `clock`."""
    return make_manager(clock=clock)


@pytest.fixture
def live_manager(make_manager: Callable[..., Any]) -> Any:
    """A manager with default options that goes by the server's own clock."""
    return make_manager()
