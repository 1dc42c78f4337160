"""Operations as values, and what gives them a colour: planned once, run by a blocking or an awaiting manager."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeGuard, TypeVar, overload

from redisess_core.loops import in_its_own_loop, running_loop

if TYPE_CHECKING:
    from redisess_core.scripts import Script

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Argument = str | bytes | int | float


@dataclass(slots=True)  # not frozen: one is made for every request, and that would double its cost
class Operation(Generic[T_co]):
    """One round trip: which script to run, with what, and how to read the reply."""

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[Argument, ...]
    decode: Callable[[Any], T_co]


class Pause:
    """A step of a plan: rest for as long as the last round trip took."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """A step of an iteration: hand these on."""

    items: Sequence[T_co]


@dataclass(frozen=True, slots=True)
class Together:
    """A step of a plan: plans to run side by side; their results come back as a list."""

    plans: Sequence[Any]


PAUSE: Final = Pause()
_AT_ONCE: Final = 16  # plans under way side by side: a pool of connections is for others too

# What a plan of several steps yields; it is sent what comes of each.
Steps = Generator[Operation[Any] | Together | Pause, Any, T]
Plan = Operation[T] | Steps[T]
Iteration = Generator[Operation[Any] | Together | Pause | Page[T], Any, None]


class Executes(Protocol):
    """What runs one operation against Redis, blocking."""

    def execute(self, operation: Operation[T], /) -> T:
        """Run it, and read its reply."""
        ...


class ExecutesAsync(Protocol):
    """What runs one operation against Redis, in an event loop."""

    def execute(self, operation: Operation[T], /) -> Awaitable[T]:
        """Run it, and read its reply."""
        ...


class operation(Generic[P, T]):  # noqa: N801  reads as the mark that it is
    """Mark a method that plans an operation (or several); each colour gets a real method that runs it."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Plan[T]]) -> None:
        self.plan = plan

    if TYPE_CHECKING:  # at runtime Runner.__init_subclass__ has replaced the mark

        @overload
        def __get__(self, runner: Blocking, owner: Any) -> Callable[P, T]: ...
        @overload
        def __get__(self, runner: Awaiting, owner: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...
        def __get__(self, runner: Any, owner: Any) -> Any: ...


class iteration(Generic[P, T]):  # noqa: N801  reads as the mark that it is
    """Mark a method that plans an iteration by pages; each colour gets an iterator of its own kind."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Iteration[T]]) -> None:
        self.plan = plan

    if TYPE_CHECKING:

        @overload
        def __get__(self, runner: Blocking, owner: Any) -> Callable[P, Iterator[T]]: ...
        @overload
        def __get__(self, runner: Awaiting, owner: Any) -> Callable[P, AsyncIterator[T]]: ...
        def __get__(self, runner: Any, owner: Any) -> Any: ...


class Runner:
    """Gives every planned operation of a subclass its running method."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in {name for base in cls.__mro__ for name in vars(base)}:
            mark = inspect.getattr_static(cls, name)
            if isinstance(mark, operation):
                setattr(cls, name, _with_signature(cls._running(mark.plan), mark.plan))
            elif isinstance(mark, iteration):
                setattr(cls, name, _with_signature(cls._iterating(mark.plan), mark.plan))

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        raise TypeError(f"{plan.__qualname__}: a runner is Blocking or Awaiting")

    @staticmethod
    def _iterating(plan: Callable[..., Iteration[Any]]) -> Callable[..., Any]:
        raise TypeError(f"{plan.__qualname__}: a runner is Blocking or Awaiting")


class Blocking(Runner):
    """Runs plans on the calling thread."""

    _store: Executes

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        def method(self: Blocking, *args: Any, **kwargs: Any) -> Any:
            planned = plan(self, *args, **kwargs)
            if isinstance(planned, Operation):
                return self._store.execute(planned)
            return self._run(planned)

        return method

    @staticmethod
    def _iterating(plan: Callable[..., Iteration[Any]]) -> Callable[..., Any]:
        def method(self: Blocking, *args: Any, **kwargs: Any) -> Iterator[Any]:
            return self._iterate(plan(self, *args, **kwargs))

        return method

    def _run(self, plan: Plan[T]) -> T:
        if isinstance(plan, Operation):
            return self._store.execute(plan)
        steps = _Steps(plan)
        while not steps.done:
            self._step(steps)
        return steps.result

    def _step(self, steps: _Steps[Any]) -> None:
        match steps.step:
            case Pause():
                time.sleep(steps.took)
                steps.send(None)
            case Together(plans):
                steps.send([self._run(each) for each in plans])
            case step:
                started = time.perf_counter()
                try:
                    result = self._store.execute(step)
                except Exception as error:  # noqa: BLE001  it goes on to the plan, which raises it or knows better
                    steps.took = time.perf_counter() - started
                    steps.throw(error)
                else:
                    steps.took = time.perf_counter() - started
                    steps.send(result)

    def _iterate(self, plan: Iteration[Any]) -> Iterator[Any]:
        steps = _Steps(plan)
        while not steps.done:
            if _is_page(steps.step):
                yield from steps.step.items
                steps.send(None)
            else:
                self._step(steps)


class Awaiting(Runner):
    """Runs plans in the running event loop; in a task of trio's, those that are no iterations, in a thread."""

    _store: ExecutesAsync

    @staticmethod
    def _running(plan: Callable[..., Plan[Any]]) -> Callable[..., Any]:
        async def method(self: Awaiting, *args: Any, **kwargs: Any) -> Any:
            planned = plan(self, *args, **kwargs)
            if isinstance(planned, Operation):
                return await self._store.execute(planned)
            return await self._run(planned)

        return method

    @staticmethod
    def _iterating(plan: Callable[..., Iteration[Any]]) -> Callable[..., Any]:
        def method(self: Awaiting, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            return self._iterate(plan(self, *args, **kwargs))

        return method

    async def _run(self, plan: Plan[T]) -> T:
        if isinstance(plan, Operation):
            return await self._store.execute(plan)
        if running_loop() is None:
            return await in_its_own_loop(self._run, plan)
        steps = _Steps(plan)
        while not steps.done:
            await self._step(steps)
        return steps.result

    async def _step(self, steps: _Steps[Any]) -> None:
        match steps.step:
            case Pause():
                await asyncio.sleep(steps.took)
                steps.send(None)
            case Together(plans):
                turns = asyncio.Semaphore(_AT_ONCE)

                async def in_turn(plan: Plan[Any]) -> Any:
                    async with turns:
                        return await self._run(plan)

                tasks = [asyncio.ensure_future(in_turn(each)) for each in plans]
                try:
                    steps.send(await asyncio.gather(*tasks))
                finally:  # where one failed, the others do not go on behind the caller's back
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
            case step:
                started = time.perf_counter()
                try:
                    result = await self._store.execute(step)
                except Exception as error:  # noqa: BLE001  it goes on to the plan, which raises it or knows better
                    steps.took = time.perf_counter() - started
                    steps.throw(error)
                else:
                    steps.took = time.perf_counter() - started
                    steps.send(result)

    async def _iterate(self, plan: Iteration[Any]) -> AsyncIterator[Any]:
        steps = _Steps(plan)
        while not steps.done:
            if _is_page(steps.step):
                for item in steps.step.items:
                    yield item
                steps.send(None)
            else:
                await self._step(steps)


class _Steps(Generic[T]):
    """A plan under way: the step that it waits at, and in the end its result."""

    def __init__(self, plan: Generator[Any, Any, T]) -> None:
        self._plan = plan
        self.done = False
        self.took = 0.0  # seconds, of the last round trip
        self.step: Any = None
        self.result: T
        self.send(None)

    def send(self, result: object) -> None:
        try:
            self.step = self._plan.send(result)
        except StopIteration as stop:
            self.done, self.result = True, stop.value

    def throw(self, error: Exception) -> None:
        try:
            self.step = self._plan.throw(error)
        except StopIteration as stop:
            self.done, self.result = True, stop.value


def _is_page(step: object) -> TypeGuard[Page[Any]]:
    return isinstance(step, Page)


def _with_signature(method: Callable[..., Any], plan: Callable[..., Any]) -> Callable[..., Any]:
    """Make *method* look as its plan does, but for what it returns: not a plan, what the plan leads to."""
    functools.update_wrapper(method, plan)
    signature = inspect.signature(plan)
    planned = re.fullmatch(r"(?:Operation|Steps|Plan|Iteration)\[(.*)\]", str(signature.return_annotation))
    returns = planned[1] if planned else signature.return_annotation
    method.__signature__ = signature.replace(return_annotation=returns)  # type: ignore[attr-defined]  # functions have it
    method.__annotations__ = {**plan.__annotations__, "return": returns}
    del method.__wrapped__  # type: ignore[attr-defined]  # what is seen is the method, not the plan
    return method
