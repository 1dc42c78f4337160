"""How what people read is worded."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return *number* with its *noun*, a regular one, which takes its plural unless it is one."""
    if number == 1:
        return f"{number} {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def said_by(error: BaseException) -> str:
    """Return what an error of the client says, but for the innards of each sentinel that had no answer."""
    return str(error).partition(" : <")[0]
