"""What `manage.py up` says where to look, in a project that has the pages at a path of its own."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.urls import clear_url_caches, include, path

from realtime import paths
from realtime.management.commands.up import pages

DESK = path("desk/", include("realtime.urls"))


@pytest.mark.parametrize(
    ("patterns", "at"),
    [
        ([DESK, path("staff/", admin.site.urls)], ("http://a:1/desk/", "http://a:1/staff/")),
        ([DESK], ("http://a:1/desk/", None)),
    ],
)
def test_pages_are_where_the_project_has_them(settings, patterns: list[Any], at: tuple[str, str | None]):
    urlconf = ModuleType("urlconf_of_a_project")
    urlconf.urlpatterns = patterns  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urlconf
    paths.base.cache_clear()
    clear_url_caches()
    try:
        assert pages("http://a:1") == at
    finally:
        paths.base.cache_clear()
        clear_url_caches()
