"""Where prices come from and where the newest ones lie: sources, the feed that asks them, the cache.

Reads `models` for what is held. Imported by services, history, the API and `realtime`.
"""
