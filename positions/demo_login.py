"""The demo's public login. `services.demo` makes the user, `accounts` refuses the password, both outside debug mode."""

from __future__ import annotations

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo"  # noqa: S105
