"""Agents, wallets, positions, trades and events in Django's admin: to view, correct, close, and export as CSV.

Imported by Django, and by `realtime.admin`, which adds what sockets do.
"""

from positions.admin import events, trades  # noqa: F401  registers their pages
from positions.admin.pages import AgentAdmin

__all__ = ["AgentAdmin"]
