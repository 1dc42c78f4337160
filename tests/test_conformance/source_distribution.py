"""Fetches what a package's own tests are in: the source distribution of the version that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version

import pytest


def run(*command, folder, **added):
    """Run *command* in *folder*, without what pytest was told of this run, which is not about that one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE_"))}
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env={**inherited, **added},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pip():
    """Give a command that is pip: this Python's, one that uv brings, or another Python's."""
    candidates = [
        [sys.executable, "-m", "pip"],
        # Of another Python it would refuse what was made for this one.
        ["uv", "tool", "run", "--python", sys.executable, "pip"],
        ["python3", "-m", "pip"],
        ["python", "-m", "pip"],
    ]
    for program, *rest in candidates:
        command = [shutil.which(program) or program, *rest]
        try:
            subprocess.run([*command, "--version"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    pytest.fail("The source distribution is fetched by pip: install pip or uv")


def index():
    """Name the package index to pip where only uv was told of one."""
    known = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return {"PIP_INDEX_URL": known} if known and "PIP_INDEX_URL" not in os.environ else {}


def fetch(name, folder):
    """Fetch the tests of the installed version of *name*, from the index that pip is configured with."""
    run(
        *pip(),
        *("download", "--no-deps", "--no-binary", name, "--ignore-requires-python"),
        *("--dest", str(folder), f"{name}=={version(name)}"),
        folder=folder,
        **index(),
    )
    (archive,) = folder.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    root = folder / archive.name.removesuffix(".tar.gz")
    shutil.rmtree(root / name)  # what is tested is the one that is installed
    return root
