"""Prices: the sources, the feed that polls them, the cache.

Reads `models` for the held tokens. Imported by services, history, the API and `realtime`.
"""
