"""Django's settings for its own tests, with our sessions on the Redis of `REDISESS_SWAP_URL`."""

import os

from test_sqlite import *  # noqa: F403 - settings that build on others take them all

SESSION_ENGINE = "redisess_django.sessions"
REDISESS = {"URL": os.environ["REDISESS_SWAP_URL"], "NAMESPACE": os.environ["REDISESS_SWAP_NAMESPACE"]}
TEST_RUNNER = "redisess_swapped.runner.ReportingRunner"
