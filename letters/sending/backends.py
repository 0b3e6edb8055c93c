"""The mailer that Demarche has until somebody configures another: it reaches this machine only."""

import ipaddress
from typing import Any

from django.core.mail import InvalidMailer
from django.core.mail.backends.smtp import EmailBackend


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost or a loopback address, never a name to be looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackBackend(EmailBackend):
    """SMTP to a loopback address. Raises InvalidMailer for any other host: no mail leaves by mistake."""

    def __init__(self, host: str = "127.0.0.1", **options: Any) -> None:
        if not is_loopback(host):
            raise InvalidMailer(
                f"The loopback mailer does not send to {host!r}: configure a transport.",
                alias=options.get("alias"),
            )
        super().__init__(host=host, **options)
