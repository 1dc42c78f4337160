"""What plans of several steps are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from redisess_core.operation import PAUSE, Operation, Steps, Together

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class More(Exception):  # noqa: N818  no error: the script did a slice, and has to be called again
    """The script did a slice, and has to be called again."""


def nothing(result: T) -> Steps[T]:
    """Plan no operation at all: the result is known."""
    return result
    yield  # a plan of no step is a generator all the same


def until_done(planned: Operation[T]) -> Steps[T]:
    """Repeat *planned* while it did but a slice."""
    while True:
        try:
            result: T = yield planned
        except More:
            yield PAUSE
        else:
            return result


def summed(plans: Sequence[Steps[int]], *, by_server: bool = False) -> Steps[int]:
    """Run plans side by side, and add up what they come to."""
    results: list[int] = yield Together(plans, by_server)
    return sum(results)
