"""This project's apps in a host that has them below a path of its own, as docs/building-on-it.md mounts them."""

from django.conf import settings

settings.ROOT_URLCONF = "tests.end_to_end.browser.mounted_urls"

from nexgent.asgi import application  # noqa: E402

__all__ = ["application"]
