"""Operations as values, and what gives them a colour: planned once, run by a blocking or an awaiting manager."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
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
    """A step of a plan: plans to run side by side; their results come back as a list.

    *by_server*: as many at a time as there are servers, as what they do there takes a while.
    """

    plans: Sequence[Any]
    by_server: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """A step of a plan: read a page of the names of keys; it leads to a `Scanned`."""

    match: bytes  # a pattern as SCAN takes it
    count: int  # keys that the server looks at, about
    cursor: int = 0
    nodes: tuple[str, ...] | None = None  # of a cluster, those left to read; None: not asked for yet


@dataclass(frozen=True, slots=True)
class Scanned:
    """A page of the names of keys, in no order: what is there throughout comes, some of it twice."""

    keys: Sequence[bytes]
    following: Scan | None  # the next page; None: there is none


PAUSE: Final = Pause()
_TASKS: Final = 16  # plans under way side by side in an event loop: a pool of connections is for others too
_PIPELINE: Final = 64  # and in a pipeline: what comes between two commands of others

# What a plan of several steps yields; it is sent what comes of each.
Steps = Generator[Operation[Any] | Scan | Together | Pause, Any, T]
Plan = Operation[T] | Steps[T]
Iteration = Generator[Operation[Any] | Scan | Together | Pause | Page[T], Any, None]


class Executes(Protocol):
    """What runs operations against Redis, blocking."""

    def servers(self) -> int:
        """Return on how many servers the shards are."""
        ...

    def execute(self, operation: Operation[T], /) -> T:
        """Run it, and read its reply."""
        ...

    def execute_together(self, operations: Sequence[Operation[Any]], /) -> list[Any]:
        """Run several side by side; of each its result, or the exception in its place."""
        ...

    def scan(self, page: Scan, /) -> Scanned:
        """Read a page of the names of keys."""
        ...


class ExecutesAsync(Protocol):
    """What runs operations against Redis, in an event loop."""

    def servers(self) -> Awaitable[int]:
        """Return on how many servers the shards are."""
        ...

    def execute(self, operation: Operation[T], /) -> Awaitable[T]:
        """Run it, and read its reply."""
        ...

    def scan(self, page: Scan, /) -> Awaitable[Scanned]:
        """Read a page of the names of keys."""
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
            case Together(plans, by_server):
                started = time.perf_counter()
                results = self._run_together(plans, by_server=by_server)
                steps.took = time.perf_counter() - started
                steps.send(results)
            case step:
                started = time.perf_counter()
                try:
                    result = self._store.scan(step) if _is_scan(step) else self._store.execute(step)
                except Exception as error:  # noqa: BLE001  it goes on to the plan, which raises it or knows better
                    steps.took = time.perf_counter() - started
                    steps.throw(error)
                else:
                    steps.took = time.perf_counter() - started
                    steps.send(result)

    def _run_together(self, plans: Sequence[Plan[Any]], *, by_server: bool) -> list[Any]:
        """Run plans side by side: what some of them wait for goes to Redis in one pipeline, round by round."""
        lanes = [_Steps(as_steps(plan)) for plan in plans]
        at_once = self._store.servers() if by_server else _PIPELINE
        took = 0.0
        while waiting := list(islice((lane for lane in lanes if not lane.done), at_once)):
            asking = [lane for lane in waiting if isinstance(lane.step, Operation)]
            if len(asking) < len(waiting):
                if any(isinstance(lane.step, Pause) for lane in waiting):
                    time.sleep(took)  # once for all
                for lane in waiting:
                    if isinstance(lane.step, Pause):
                        lane.send(None)
                    elif not isinstance(lane.step, Operation):
                        self._step(lane)
                continue
            started = time.perf_counter()
            results = self._store.execute_together([lane.step for lane in asking])
            took = time.perf_counter() - started
            for lane, result in zip(asking, results, strict=True):
                if isinstance(result, Exception):
                    lane.throw(result)
                else:
                    lane.send(result)
        return [lane.result for lane in lanes]

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
            case Together(plans, by_server):
                turns = asyncio.Semaphore(await self._store.servers() if by_server else _TASKS)

                async def in_turn(plan: Plan[Any]) -> Any:
                    async with turns:
                        return await self._run(plan)

                started = time.perf_counter()
                tasks = [asyncio.ensure_future(in_turn(each)) for each in plans]
                try:
                    results = await asyncio.gather(*tasks)
                finally:  # where one failed, the others do not go on behind the caller's back
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                steps.took = time.perf_counter() - started
                steps.send(results)
            case step:
                started = time.perf_counter()
                try:
                    result = await (self._store.scan(step) if _is_scan(step) else self._store.execute(step))
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


def as_steps(plan: Plan[T]) -> Steps[T]:
    """Take a plan as steps of another, be it one operation or several."""
    if isinstance(plan, Operation):
        result: T = yield plan
        return result
    return (yield from plan)


def _is_scan(step: object) -> TypeGuard[Scan]:
    return isinstance(step, Scan)


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
