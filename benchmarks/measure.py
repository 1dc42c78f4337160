"""What the core's benchmarks share: a server of their own, sides that take turns, ratios within a round, one table.

Sides alternate in short rounds, each round in another order, and a ratio is the median of the ratios of all rounds: so
what else the machine does meets both sides of each ratio alike. Where it does much, the processor time that client and
server took together (told where there is a /proc) is the steadier number: nobody else's is in it.
"""

from __future__ import annotations

import random
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    import redis

__all__ = ["Row", "Server", "Times", "print_table", "take_turns", "take_turns_async", "turns"]

WARM_UP = 5  # rounds that do not count


@dataclass(slots=True)
class Times:
    """What each side took by round: seconds a call, by the clock and of the processor; microseconds a script."""

    sides: Iterable[str]
    taken: dict[str, list[float]] = field(init=False)
    worked: dict[str, list[float]] = field(init=False)
    inside: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.taken, self.worked, self.inside = ({side: [] for side in self.sides} for _ in range(3))

    def add(self, side: str, taken: float, worked: float = 0.0, inside: float = 0.0) -> None:
        """Note one round of *side*."""
        self.taken[side].append(taken)
        self.worked[side].append(worked)
        self.inside[side].append(inside)

    def micros(self, side: str) -> float:
        """Return what a call of *side* takes, in microseconds."""
        return statistics.median(self.taken[side]) * 1e6

    def micros_inside(self, side: str) -> float:
        """Return what a script of *side* takes inside the server, in microseconds."""
        return statistics.median(self.inside[side])

    def ratio(self, side: str, base: str) -> float:
        """Return how many times as long as *base* a call of *side* takes."""
        return _ratio(self.taken[side], self.taken[base])

    def work_ratio(self, side: str, base: str) -> float:
        """Return how many times as much work as *base* a call of *side* is to the processor; 0 where nobody says."""
        return _ratio(self.worked[side], self.worked[base])


def _ratio(side: list[float], base: list[float]) -> float:
    return statistics.median(one / other if other else 0.0 for one, other in zip(side, base, strict=True))


class Stopwatch:
    """Times a block: by the clock, of the processor (this process and the server's), and inside the server."""

    def __init__(self, server: Server, client: redis.Redis) -> None:
        self._client = client
        processes = ("self", server.process.pid if server.process else "self")
        found = [Path(f"/proc/{process}/schedstat") for process in processes]
        self._schedules = found if all(path.exists() for path in found) else []

    def __enter__(self) -> Self:
        self._client.config_resetstat()
        self._began = perf_counter(), self._worked()
        return self

    def __exit__(self, *_: object) -> None:
        began, worked = self._began
        self.taken, self.worked = perf_counter() - began, self._worked() - worked
        known: Any = self._client.info("commandstats")
        self.inside = float(known.get("cmdstat_evalsha", {}).get("usec_per_call", 0.0))

    def _worked(self) -> float:
        return sum(int(path.read_text().split()[0]) for path in self._schedules) / 1e9


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; *goal* is the most that *measured* may be, or with *at_least* the least."""

    what: str
    measured: float
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the goal is met."""
        if self.goal is None:
            return ""
        return "met" if (self.measured >= self.goal if self.at_least else self.measured <= self.goal) else "missed"


def turns(sides: Mapping[str, object], rounds: int) -> Iterator[tuple[str, bool]]:
    """Give each side its turn in every round, and say whether it counts."""
    order, shuffled = list(sides), random.Random(0)
    for number in range(rounds + WARM_UP):
        shuffled.shuffle(order)
        for side in order:
            yield side, number >= WARM_UP


def take_turns(server: Server, sides: Mapping[str, Callable[[], object]], *, rounds: int, calls: int) -> Times:
    """Time *calls* calls of each side in every round."""
    times, watch = Times(sides), Stopwatch(server, server.client())
    for side, counts in turns(sides, rounds):
        call = sides[side]
        with watch:
            for _ in range(calls):
                call()
        if counts:
            times.add(side, watch.taken / calls, watch.worked / calls, watch.inside)
    return times


async def take_turns_async(
    server: Server, sides: Mapping[str, Callable[[], Awaitable[object]]], *, rounds: int, calls: int
) -> Times:
    """Do the same in an event loop."""
    times, watch = Times(sides), Stopwatch(server, server.client())
    for side, counts in turns(sides, rounds):
        call = sides[side]
        with watch:
            for _ in range(calls):
                await call()
        if counts:
            times.add(side, watch.taken / calls, watch.worked / calls, watch.inside)
    return times


def print_table(title: str, unit: str, rows: list[Row]) -> None:
    """Print what was measured beside its goal."""
    width = max(len(row.what) for row in rows)
    print(f"\n{title}\n{'what':{width}}  {unit:>9}  {'goal':>9}  {'':6}")
    for row in rows:
        goal = "" if row.goal is None else f"{'>=' if row.at_least else '<='} {row.goal:g}"
        print(f"{row.what:{width}}  {row.measured:9.2f}  {goal:>9}  {row.verdict:6}  {row.note}".rstrip())
