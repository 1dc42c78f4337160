"""A clock that only moves when it is told to."""

from __future__ import annotations

START = 1_800_000_000.0


class FakeClock:
    """Seconds since the epoch, as a manager's `clock` option wants them."""

    def __init__(self, at: float = START) -> None:
        self.at = float(at)

    def __call__(self) -> float:
        return self.at

    def __repr__(self) -> str:
        return f"FakeClock({self.at!r})"

    def advance(self, secs: float) -> float:
        """Move by *secs* (backwards too) and give the new time."""
        self.at += secs
        return self.at

    def set(self, at: float) -> float:
        """Move to *at* and give the new time."""
        self.at = float(at)
        return self.at
