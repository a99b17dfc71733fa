"""The admin's login page, which says that a login is locked; Django's own form only says that it failed."""

from __future__ import annotations

import math

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from positions.accounts.logins import locked_seconds, was_busy


class AdminLoginForm(AdminAuthenticationForm):
    def get_invalid_login_error(self) -> ValidationError:
        wait = locked_seconds(self.request)
        if not wait:
            return super().get_invalid_login_error()
        if was_busy(self.request):
            return ValidationError("Too many logins at this moment. Try again.", code="busy")
        minutes = math.ceil(wait / 60)
        when = "1 minute" if minutes == 1 else f"{minutes} minutes"
        return ValidationError(f"Too many failed logins. Try again in {when}.", code="locked")
