"""The demo: a small web app to try sessions with, in the browser and by curl."""

from redisess_cli.demo.app import create_app
from redisess_cli.demo.server import run

__all__ = ["create_app", "run"]
