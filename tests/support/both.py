"""One test body for both managers: the async one, driven from blocking code.

`Driven` stands before an object of the async API. What is awaited there is called here, `async for` is `for`,
`async with` is `with`; attributes pass through, both ways. The object lives in an event loop in a thread of
its own, which many threads of a test may call at once.
"""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from support.clients import async_client_of, client_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from anyio.abc import BlockingPortal

COLOURS = ("blocking", "async")
SAME = {"close": "aclose"}  # the blocking name of what has another name in the async API
_END = object()


class Driven:
    """An object of the async API, used as its blocking twin is."""

    colour = "async"

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_portal", portal)
        object.__setattr__(self, "_contexts", [])

    def __repr__(self) -> str:
        return f"<driven {self._target!r}>"

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __eq__(self, other: object) -> bool:
        return bool(self._target == unwrap(other))

    def __hash__(self) -> int:
        return hash(self._target)

    def __getattr__(self, name: str) -> Any:
        target, portal = self._target, self._portal
        if name in SAME and not hasattr(type(target), name):
            name = SAME[name]
        # Only a method is called in the loop: an attribute that can be called (a clock) is the caller's own.
        if inspect.isroutine(inspect.getattr_static(type(target), name, None)):
            return _blocking(getattr(target, name), portal)
        return wrap(portal.call(getattr, target, name), portal)

    def __setattr__(self, name: str, value: Any) -> None:
        self._portal.call(setattr, self._target, name, unwrap(value))

    def __delattr__(self, name: str) -> None:
        self._portal.call(delattr, self._target, name)

    def __iter__(self) -> Driven:
        return Driven(self._portal.call(aiter, self._target), self._portal)

    def __next__(self) -> Any:
        item = self._portal.call(_advance, self._target)
        if item is _END:
            raise StopIteration
        return wrap(item, self._portal)

    def __enter__(self) -> Any:
        context = self._portal.wrap_async_context_manager(self._target)
        entered = context.__enter__()
        self._contexts.append(context)
        return self if entered is self._target else wrap(entered, self._portal)

    def __exit__(self, *exception: Any) -> bool | None:
        return self._contexts.pop().__exit__(*exception)


async def _advance(iterator: Any) -> Any:
    # The end must not cross the thread as StopAsyncIteration, which means something to whoever carries it.
    return await anext(iterator, _END)


def _blocking(function: Callable[..., Any], portal: BlockingPortal) -> Callable[..., Any]:
    async def invoke(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def call(*args: Any, **kwargs: Any) -> Any:
        return wrap(portal.call(invoke, unwrap(args), unwrap(kwargs)), portal)

    call.__name__ = call.__qualname__ = getattr(function, "__name__", "call")
    return call


@cache
def is_async(kind: type) -> bool:
    """Whether objects of *kind* have to be driven: async by protocol, by a method, or by name."""
    if any(hasattr(kind, name) for name in ("__aiter__", "__anext__", "__aenter__")):
        return True
    if kind.__module__ == "builtins":
        return False
    if kind.__name__.startswith("Async"):
        return True
    return any(inspect.iscoroutinefunction(inspect.getattr_static(kind, name, None)) for name in dir(kind))


def wrap(value: Any, portal: BlockingPortal) -> Any:
    """Put a `Driven` before every async object that *value* is or holds."""
    if is_async(type(value)):
        return Driven(value, portal)
    return _inside(value, lambda item: wrap(item, portal))


def unwrap(value: Any) -> Any:
    """Give back what `wrap` was given."""
    return value._target if type(value) is Driven else _inside(value, unwrap)


def _inside(value: Any, translate: Callable[[Any], Any]) -> Any:
    """Translate what a plain container holds; one that holds nothing to translate stays itself."""
    kind = type(value)
    if kind is dict:
        translated: Any = {key: translate(item) for key, item in value.items()}
        same = all(translated[key] is item for key, item in value.items())
    elif kind in (list, tuple, set, frozenset):
        items = [translate(item) for item in value]
        same = all(one is other for one, other in zip(items, value, strict=True))
        translated = kind(items)
    else:
        return value
    return value if same else translated


@contextmanager
def open_manager(
    colour: str, url: str, *, client_options: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[Any]:
    """Open a manager of *colour*, and close it, its client and its event loop at the block's end.

    Made from *url* itself or, given *client_options*, over a client of that URL made with them.
    """
    if colour == "blocking":
        with _opened_blocking(url, client_options, options) as manager:
            yield manager
    else:
        with start_blocking_portal("asyncio", name="driven") as portal:
            opening = _opened_async(url, client_options, options)
            with portal.wrap_async_context_manager(opening) as manager:
                yield wrap(manager, portal)


@contextmanager
def _opened_blocking(url: str, client_options: Mapping[str, Any] | None, options: dict[str, Any]) -> Iterator[Any]:
    from redisess_core import SessionManager

    with ExitStack() as ends:
        client: Any = url
        if client_options is not None:
            client = client_of(url, **client_options)
            ends.callback(client.close)
        manager: Any = SessionManager(client, **options)
        ends.callback(manager.close)
        manager.colour = "blocking"
        yield manager


@asynccontextmanager
async def _opened_async(
    url: str, client_options: Mapping[str, Any] | None, options: dict[str, Any]
) -> AsyncIterator[Any]:
    from redisess_core import AsyncSessionManager

    async with AsyncExitStack() as ends:
        client: Any = url
        if client_options is not None:
            client = async_client_of(url, **client_options)
            ends.push_async_callback(client.aclose)
        manager = AsyncSessionManager(client, **options)
        ends.push_async_callback(manager.aclose)
        yield manager
