"""Lock-out after failed logins: how many there may be for a name from one network, from one network, and for a name.

What is a network: an IPv4 address; of IPv6 both the /64, which is one host's, and the /48, the most that one customer
has, with a higher limit. A name that does not exist counts like one that does.

A name can be tried from many networks in order to lock its owner out. So of one network only some failures count for
the name, and a network from which the name has logged in before is not concerned (OWASP, "device cookies", by network).

`LockingBackend` is in AUTHENTICATION_BACKENDS, so REST, the admin and every other form that calls `authenticate` share
the counts. How they are counted: attempts.py.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest

from positions import valkey
from positions.accounts import attempts
from positions.accounts.attempts import Attempt, Refused
from positions.accounts.counting import Limits, Outcome
from positions.accounts.passwords import user_of
from positions.accounts.same_logins import SameLogins
from positions.conf import conf
from positions.demo_login import DEMO_PASSWORD
from positions.signals import refused_at_bound

logger = logging.getLogger(__name__)

# An address may be an office, and a name may be tried from many addresses in order to lock its owner out: both have a
# higher limit than the pair. A /48 has 65,536 /64s, or is shared by 256 customers.
ADDRESS_FACTOR = 5
NAME_FACTOR = 10
LINE_FACTOR = 4
LINE_BITS = 48
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
KNOWN = timedelta(days=90)
"""For how long a network is known to a name after a login."""
_same = SameLogins()
_PREFIX = f"{valkey.KEY_PREFIX}attempts:"


def client_address(request: HttpRequest) -> str:
    """Return the client's address; for IPv6 its /64 network, which is one host's.

    Behind a proxy that is the last entry of X-Forwarded-For, which our own proxy has written; behind several, the first
    one that they have written.
    """
    return networks(request)[-1]


def networks(request: HttpRequest) -> list[str]:
    """Return the networks of the client that are counted, the widest first."""
    return networks_of(request.META.get("REMOTE_ADDR") or "", request.META.get("HTTP_X_FORWARDED_FOR", ""))


def networks_of(address: str, forwarded_for: str) -> list[str]:
    """Return the same, by the address that connects and its header X-Forwarded-For."""
    if conf.BEHIND_PROXY:
        entries = [entry for each in forwarded_for.split(",") if (entry := each.strip())]
        address = entries[-conf.PROXY_HOPS :][0] if entries else address
    try:
        known = ipaddress.ip_address(_without_port(address))
    except ValueError:
        return ["unknown"]  # a Unix socket without a proxy
    if isinstance(known, ipaddress.IPv6Address):
        ipv4 = _ipv4_of(known)
        if ipv4 is None:
            line, host = (ipaddress.IPv6Network((int(known), bits), strict=False) for bits in (LINE_BITS, 64))
            return [str(line), str(host.network_address)]
        known = ipv4
    return [str(known)]


def _without_port(address: str) -> str:
    """Some proxies write the client's port behind its address: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    found = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([\d.]+):\d+", address)
    return address if found is None else found[1] or found[2]


def _ipv4_of(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that this one stands for: mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056)."""
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def limits_by_network(prefix: str, networks: list[str], limit: int) -> dict[str, int]:
    """Return a key for each network, and its limit: a wider one has a higher one."""
    return {
        f"{prefix}{network}": limit if network == networks[-1] else LINE_FACTOR * limit
        for network in networks
    }


def locked_seconds(request: Any) -> int:
    """Return for how long the login that this request tried is locked; 0 where it only failed."""
    return int(getattr(request, "login_locked_seconds", 0))


def was_busy(request: Any) -> bool:
    """Return whether the login was not tried because of others at the same moment, not of failures."""
    return bool(getattr(request, "login_was_busy", False))


class LockingBackend(ModelBackend):
    """Django's own backend, which refuses names and addresses with too many failures before it checks the password.
    Two calls of Redis or Valkey a login; none where it is one of several at once (same_logins.py)."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        if username is None:
            username = kwargs.get(get_user_model().USERNAME_FIELD)
        if request is None or username is None:  # a shell, or another backend's credentials
            return super().authenticate(request, username=username, password=password, **kwargs)
        if not connection.in_atomic_block:
            connection.close()  # back to the pool: it may wait for others
        credentials = [username, password or "", *networks(request)]
        return _same.check(credentials, lambda: self._counted(request, username, password))

    async def aauthenticate(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return await sync_to_async(self.authenticate)(request, *args, **kwargs)

    def _counted(self, request: Any, username: str, password: str | None) -> Any:
        try:
            attempt = attempts.attempts.begin(_limits(username, networks(request)))
        except Refused as error:
            request.login_locked_seconds = max(1, round(error.wait_seconds))
            request.login_was_busy = error.busy
            refused_at_bound.send(sender=Attempt, bound="logins_at_once" if error.busy else "login_failures")
            # The address only: passwords are typed into the name's field by mistake.
            logger.warning(
                "a login from %s is %s for %.0f s",
                client_address(request),
                "refused, since too many are being checked," if error.busy else "locked",
                error.wait_seconds,
            )
            raise PermissionDenied from None
        outcome: Outcome = "unknown"
        try:
            user = self._check(username, password)
            outcome = "failed" if user is None else "succeeded"
        finally:
            window_seconds, known_seconds = conf.LOGIN_LOCK_SECONDS, KNOWN.total_seconds()
            attempts.attempts.end(
                attempt, outcome, window_seconds=window_seconds, known_seconds=known_seconds
            )
        return user

    def _check(self, username: str, password: str | None) -> Any:
        if password == DEMO_PASSWORD and not settings.DEBUG:
            return None  # it is public, and the demo's user may still be there from a trial
        user = None if password is None else user_of(username, password)
        return user if user is not None and self.user_can_authenticate(user) else None


def _limits(name: str, networks: list[str]) -> Limits:
    failures: int = conf.LOGIN_FAILURES
    name = _digest(name.casefold())
    pair = f"{_PREFIX}pair:{name}:"
    return Limits(
        own=limits_by_network(pair, networks, failures)
        | limits_by_network(f"{_PREFIX}address:", networks, ADDRESS_FACTOR * failures),
        forgotten=f"{pair}{networks[-1]}",
        shared=f"{_PREFIX}name:{name}",
        shared_limit=NAME_FACTOR * failures,
        share=failures,
        known=f"{_PREFIX}known:{name}:{networks[0]}",
    )


def _digest(text: str) -> str:
    """Return a key's part, of bounded length, from which the name cannot be read."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:24]
