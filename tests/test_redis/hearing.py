"""Listening to the events of a manager for as long as a block lasts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redisess_core import SessionEvent

SECONDS = 10


@contextmanager
def heard(manager: Any) -> Iterator[list[SessionEvent]]:
    """Collect the events of a block; the list is complete after it."""
    found: list[SessionEvent] = []
    with ThreadPoolExecutor(1) as pool, manager.events() as events:

        def collect() -> None:
            for event in events:
                if event.user_id == "the end":
                    return
                found.append(event)

        collecting = pool.submit(collect)
        yield found
        manager.create("the end")
        collecting.result(SECONDS)
