"""redisess under Flask."""
