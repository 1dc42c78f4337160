"""An example under `examples/` as its README says to run it: a server process of its own, with real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.demo import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60.0  # of a machine that does other things, too


@contextmanager
def running(name: str, output: Path, **environment: str) -> Iterator[str]:
    """Run the example with the commands of its README, on a free port; gives its address."""
    block = re.search(r"```console\n((?:uv run .*\n)+)```", (EXAMPLES / name / "README.md").read_text())
    assert block
    *before, serve = [line.split()[2:] for line in block[1].splitlines()]
    inherited = {key: value for key, value in os.environ.items() if key not in ("REDIS_URL", "REDISESS_URL")}
    settings: dict[str, Any] = {
        "cwd": EXAMPLES.parent,
        "env": {**inherited, "PYTHONUNBUFFERED": "1", **environment},
    }
    for command in before:
        subprocess.run(_program(command), check=True, timeout=SECONDS, stdout=subprocess.DEVNULL, **settings)
    any_port = ["127.0.0.1:0", "--noreload"] if serve[-1] == "runserver" else ["--port", "0"]
    with interruptible(), output.open("w") as log:
        process = subprocess.Popen([*_program(serve), *any_port], stdout=log, stderr=log, **settings)
    try:
        for _ in range(int(SECONDS * 10)):
            found = re.search(r"(?i)(?:running on|server at) (http://[^\s/]+)", output.read_text())
            if found or process.poll() is not None:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        assert found, output.read_text()
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
    assert "Traceback" not in output.read_text(), output.read_text()


def _program(words: list[str]) -> list[str]:
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]
