"""Another server in the place of one that fails: how long that is waited for, and who is asked."""

from __future__ import annotations

import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from redisess_core.failures import FAILURES
from redisess_core.urls import Topology

if TYPE_CHECKING:
    from collections.abc import Generator

PATIENCE: Final = 2.0  # seconds for another server to take the place of one that fails, or for a slot to move
BREATH: Final = 0.05  # seconds between two tries
ASK_AGAIN: Final = 1.0  # seconds after which sentinels are asked for the primary once more
MOST_SELDOM: Final = 8.0  # seconds, where they did not answer: at first ASK_AGAIN, then twice as long each time


def patience_with(topology: Topology) -> float:
    """Return for how many seconds to try again: not at all where no other server takes the place."""
    return PATIENCE if topology in (Topology.CLUSTER, Topology.SENTINEL) else 0.0


class Primary:
    """When sentinels are to be asked again which server is the primary.

    After a failover by hand the former one serves on, for some ten seconds, until they demote it: whoever keeps
    connections to it would read and write what nobody else knows of.
    """

    def __init__(self) -> None:
        self._due: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
        self._after_failure = ASK_AGAIN

    def is_due(self, client: Any) -> bool:
        """Tell whether it is time."""
        return time.monotonic() >= self._due.get(client, 0.0)

    @contextmanager
    def asking(self, client: Any) -> Generator[None]:
        """Ask; while nobody answers, the primary that is known serves on, and asking is ever less worth the wait."""
        self._due[client] = time.monotonic() + ASK_AGAIN
        try:
            yield
        except FAILURES:
            self._due[client] = time.monotonic() + self._after_failure
            self._after_failure = min(2 * self._after_failure, MOST_SELDOM)
        else:
            self._after_failure = ASK_AGAIN
