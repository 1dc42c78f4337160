"""django-allauth's usersessions app on our engine, unchanged: listed, and ended, are sessions of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SITE = Path(__file__).with_name("allauth_site.py")
SEEN = {
    "listed": ["Laptop", "Phone", "Tablet"],
    "keys": [3, 3],
    "after a sign-out": ["Laptop", "Phone"],
    "ended": 302,
    "left": [["Laptop"], []],
    "keys left": [1, 1],
    "after the end of the own": [],
    "keys at the end": [0, 0],
}


def test_allauths_user_sessions_are_ours_with_both_middlewares_and_in_one_shard_and_eight(redis_url):
    command = [sys.executable, str(SITE), redis_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [SEEN] * 4
