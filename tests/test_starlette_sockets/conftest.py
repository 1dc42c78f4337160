"""What the tests of WebSockets and real servers share: a site in this process, and one under uvicorn."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from sockets_kit import LIVE_NAMESPACE, Live, Site

from redisess_core import AsyncSessionManager, SessionManager
from support.server import patient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import redis

    from support.server import Server


@pytest.fixture(scope="session")
def anyio_backend() -> Any:
    """What `@pytest.mark.anyio` runs on here: asyncio in debug mode."""
    return ("asyncio", {"debug": True})


@pytest.fixture
async def make_site(redis_url: str, namespace: str) -> AsyncIterator[Callable[..., Site]]:
    """Make sites; after the test, no socket may have left a task."""
    async with AsyncExitStack() as ends:

        def make(url: str = patient(redis_url), manager: Any = None, **options: Any) -> Site:
            if manager is None:
                manager = AsyncSessionManager(url, namespace=namespace, **options.pop("manager_options", {}))
                ends.push_async_callback(manager.aclose)
            site = Site(manager, **options)
            ends.push_async_callback(site.hang_up)
            return site

        gc.freeze()  # a sweep over all that the tests of a worker are takes half a second
        yield make
    gc.collect()
    gc.unfreeze()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("redisess")]


@pytest.fixture
async def site(make_site: Callable[..., Site]) -> Site:
    """A site with default options."""
    return make_site()


@pytest.fixture(scope="session")
def shared_live(redis_server: Server) -> Iterator[Live]:
    with Live(redis_server.url) as live:
        yield live


@pytest.fixture
def live(shared_live: Live, redis_url: str) -> Live:
    """A site under uvicorn that the tests of a worker share, its Redis emptied."""
    return shared_live


@pytest.fixture
def start_live(redis_url: str) -> Iterator[Callable[..., Live]]:
    """Start sites under uvicorn with options of the test's own."""
    with ExitStack() as ends:
        yield lambda url=redis_url, **options: ends.enter_context(Live(url, **options))


@pytest.fixture
def elsewhere(redis_client: redis.Redis) -> Iterator[SessionManager]:
    """The manager of another process, for the namespace of the sites under uvicorn."""
    with SessionManager(redis_client, namespace=LIVE_NAMESPACE) as manager:
        yield manager
