"""redisess under Starlette and FastAPI."""
