"""One request through an exchange, in either colour, as an adapter takes it there."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from redisess_core import StoreUnavailable
from redisess_core.web import AsyncExchange, BlockingExchange, Found, Source
from support.both import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redisess_core.web import Outcome


class OneRequest:
    """A request of *manager*'s colour that brought *token*; its session is used as a view uses it."""

    def __init__(self, manager: Any, token: str | None = None, source: Source | None = None, **options: Any) -> None:
        cookie_present = options.pop("cookie_present", token is not None and source is not Source.HEADER)
        if source is None:
            source = Source.NONE if token is None else Source.COOKIE
        self._portal = getattr(manager, "_portal", None)
        kind = BlockingExchange if self._portal is None else AsyncExchange
        self.exchange = kind(unwrap(manager), Found(token, source, cookie_present), **options)
        self.session = self.exchange.session

    def run(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call *method*, and await it where it is to be awaited."""
        if self._portal is None:
            return method(*args, **kwargs)

        async def awaited() -> Any:
            result = method(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return self._portal.call(awaited)

    def open(self) -> OneRequest:
        self.run(self.exchange.open)
        return self

    def close(self, **options: Any) -> Outcome:
        return self.run(self.exchange.close, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Give what talks to Redis at once: `request.save()`."""
        return partial(self.run, getattr(self.session, name))


class Line:
    """What goes between a manager and Redis: it counts the operations, and can be cut."""

    def __init__(self, manager: Any) -> None:
        self._store = unwrap(manager).store
        self._execute = self._store.execute
        self._is_cut = False
        self.scripts: list[str] = []
        self._store.execute = self._count

    def _count(self, operation: Any) -> Any:
        self.scripts.append(operation.script.name)
        if self._is_cut:
            raise StoreUnavailable("cut")
        return self._execute(operation)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Be away for the block."""
        self._is_cut = True
        try:
            yield
        finally:
            self._is_cut = False

    @contextmanager
    def seen(self) -> Iterator[list[str]]:
        """List the scripts that are run in the block."""
        self.scripts = seen = []
        yield seen
