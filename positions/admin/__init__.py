"""Agents, wallets, positions, trades, events and tokens in Django's admin: to view, correct, close, and export as CSV.

Imported by Django, and by `realtime.admin`, which adds what sockets do.
"""

from django.contrib import admin

from positions.accounts.admin_login import AdminLoginForm
from positions.admin import events, mints, tokens, trades, usage  # noqa: F401  registers their pages
from positions.admin.agents import AgentAdmin
from positions.admin.positions import PositionAdmin

__all__ = ["AgentAdmin", "PositionAdmin"]

admin.site.login_form = AdminLoginForm
