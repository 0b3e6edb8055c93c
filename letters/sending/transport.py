"""Which relay carries which kind of mail, and the connections kept to them."""

import threading
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import InvalidMailer, mailers

from letters.models import Delivery
from letters.sending.backends import is_loopback
from letters.sending.smtp import Connection, Relay

MAILER = {
    Delivery.Kind.LETTER: "letters",
    Delivery.Kind.ANSWER: "letters",
    Delivery.Kind.DIGEST: "letters",
    Delivery.Kind.CONFIRMATION: "supporters",
    Delivery.Kind.NOTICE: "supporters",
}


class _Kept(threading.local):
    """The connections of one thread, by mailer: SMTP is a conversation of two."""

    def __init__(self) -> None:
        self.by_mailer: dict[str, Connection] = {}


_kept = _Kept()


def connection(kind: str) -> Connection:
    """The kept connection for a kind of delivery. Raises InvalidMailer when its relay may not be used."""
    alias = MAILER[Delivery.Kind(kind)]
    relay = relay_of(alias)
    kept = _kept.by_mailer.get(alias)
    if kept is None or kept.relay != relay:
        if kept is not None:
            kept.close()
        kept = _kept.by_mailer[alias] = Connection(relay)
    return kept


def relay_of(alias: str) -> Relay:
    """The relay that a mailer of the settings names.

    Raises InvalidMailer when the mailer is the loopback one and names another machine.
    """
    config = mailers.settings[alias]
    options: dict[str, Any] = config.get("OPTIONS", {})
    host = options.get("host") or "localhost"
    if config["BACKEND"].endswith(".LoopbackBackend") and not is_loopback(host):
        raise InvalidMailer(f"The loopback mailer does not send to {host!r}.", alias=alias)
    return Relay(
        host=host,
        port=options.get("port") or 25,
        username=options.get("username") or "",
        password=options.get("password") or "",
        use_tls=bool(options.get("use_tls")),
        use_ssl=bool(options.get("use_ssl")),
        timeout=float(options.get("timeout") or 30),
        hello=urlsplit(settings.SITE_URL).hostname or "localhost",
    )


def hang_up() -> None:
    """Closes the kept connections of this thread."""
    while _kept.by_mailer:
        _kept.by_mailer.popitem()[1].close()
