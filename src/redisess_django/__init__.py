"""redisess under Django."""
