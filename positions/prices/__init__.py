"""Market prices: where they come from, the loop that fetches them, and the cache that everyone reads."""
