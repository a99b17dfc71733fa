"""What can go wrong, a class for each thing that a program would do about it."""

from __future__ import annotations

from typing import Any


class NexgentError(Exception):
    """The base of all."""


class ServerRefused(NexgentError):
    """The server answered a request with an error that a repeat would get again."""

    def __init__(self, status: int, body: Any, *, retry_after: float = 0.0) -> None:
        self.status = status
        self.retry_after = retry_after
        """For how many seconds the server wants to be left alone."""
        self.body = body
        """What the server says: {"detail": …}, or a list of sentences for each field."""
        super().__init__(f"{status}: {_sentence(body)}")


class LoginRequired(NexgentError):
    """No token is accepted any more, and there is no password to get another with."""


class Ended(NexgentError):
    """The server closed the socket for good: `reason` is that of its close, "New connection established", say."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the server says not to reconnect: {reason}")


class IncompatibleServer(NexgentError):
    """The server is of a release that this client cannot talk to; the sentence says which of the two is older."""


class ProtocolError(NexgentError):
    """A message lacks what this client needs."""


def _sentence(body: Any) -> str:
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return str(body["detail"])
    if isinstance(body, dict):
        fields = body.get("errors", body)
        return "; ".join(f"{field}: {_sentence(said)}" for field, said in fields.items())
    return " ".join(map(_sentence, body)) if isinstance(body, list) else str(body)
