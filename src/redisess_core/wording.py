"""How what people read is worded."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return *number* with its *noun*, a regular one, which takes its plural unless it is one."""
    if number == 1:
        return f"{number} {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
