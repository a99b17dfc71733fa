"""Agents, wallets, positions, trades, events and tokens in Django's admin: to view, correct, close, and export as CSV.

Imported by Django, and by `realtime.admin`, which adds what sockets do.
"""

from positions.admin import events, tokens, trades, usage  # noqa: F401  registers their pages
from positions.admin.pages import AgentAdmin, PositionAdmin

__all__ = ["AgentAdmin", "PositionAdmin"]
