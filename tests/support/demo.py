"""`redisess demo` as people start it: a process of its own, with real sockets."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMAND = str(Path(sys.executable).with_name("redisess"))
START_SECONDS = 60.0  # of a machine that does other things, too; a test of its own says how fast it is
STOP_SECONDS = 20.0


@contextmanager
def interruptible() -> Iterator[None]:
    """Start processes that Ctrl+C ends, also where this one is told to ignore it, as a shell's background jobs are."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Demo:
    """A running demo, on a free port, with its address; the block's end interrupts it."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        began = time.monotonic()
        with interruptible():
            self.process = subprocess.Popen(
                [COMMAND, "demo", "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env
            )
        self.output = ""
        try:
            self.url = self._read(re.compile(r"is at (http://127\.0\.0\.1:\d+)\n"))
        except BaseException:
            self.kill()
            raise
        self.seconds = time.monotonic() - began
        self.port = urlsplit(self.url).port or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Press Ctrl+C; give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            rest, _ = self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        except ValueError:  # the output was read to its end before
            rest = b""
        self.output += rest.decode()
        return self.process.returncode

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self, wanted: re.Pattern[str]) -> str:
        stdout = self.process.stdout
        assert stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while (found := wanted.search(self.output)) is None:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            read = stdout.read1() if ready else b""
            if not read:
                msg = f"The demo did not say where it is; it said: {self.output!r}"
                raise RuntimeError(msg)
            self.output += read.decode()
        return found[1]
