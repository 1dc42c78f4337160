"""How what people read is worded."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return *number* with its *noun*, which takes an s unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
