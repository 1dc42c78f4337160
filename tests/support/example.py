"""An example under `examples/` as its README says to run it: a server process of its own, with real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.demo import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60.0  # of a machine that does other things, too


@contextmanager
def running(name: str, output: Path, **environment: str) -> Iterator[str]:
    """Run the example with the command of its README, on a free port; gives its address."""
    command = re.search(r"```console\nuv run ((?:uvicorn|flask) .*)\n```", (EXAMPLES / name / "README.md").read_text())
    assert command
    program, *words = command[1].split()
    inherited = {key: value for key, value in os.environ.items() if key not in ("REDIS_URL", "REDISESS_URL")}
    with interruptible(), output.open("w") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), *words, "--port", "0"],
            cwd=EXAMPLES.parent,
            env={**inherited, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(int(SECONDS * 10)):
            found = re.search(r"(?i)running on (http://\S+)", output.read_text())
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
