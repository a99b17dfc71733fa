"""Agents, wallets, positions and events in Django's admin: to view, correct, close, and export as CSV.

Imported by Django, and by `realtime.admin`, which adds what sockets do.
"""

from positions.admin import events  # noqa: F401  registers its page
from positions.admin.pages import AgentAdmin

__all__ = ["AgentAdmin"]
