"""The Lua scripts: files of `lua/`, each with the helpers that it names in `-- @include` lines."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server gets it: by its digest, and whole where the server does not know that."""

    name: str
    source: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """Load the script of `lua/<name>.lua`, with its includes in place."""
    source = _INCLUDE.sub(lambda found: _read(f"include/{found[1]}"), _read(name)).encode()
    digest = hashlib.sha1(source, usedforsecurity=False).hexdigest()  # how Redis names a script
    return Script(name, source, digest)


def _read(name: str) -> str:
    return (files("redisess_core") / "lua" / f"{name}.lua").read_text("utf-8")
