"""redisess under Django: sessions in Redis that you can count, list and kill."""

from redisess_django.conf import async_manager, manager

__all__ = ["async_manager", "manager"]
