"""Reads settings from the environment, typed, and fails loudly with the variable's name."""

import os
from urllib.parse import parse_qs, unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

LOOPBACK_BACKEND = "letters.sending.backends.LoopbackBackend"
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
MAIL_TIMEOUT = 30  # seconds; no mailer may wait for ever
DEFAULT_PORTS = {"loopback": 1025, "smtp": 587, "smtps": 465, "smtp+plain": 25}


def text(name: str, default: str) -> str:
    """The variable's value, or `default` when it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    """A yes or no: 1/0, true/false, yes/no, on/off. Raises ImproperlyConfigured on anything else."""
    value = text(name, "yes" if default else "no").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")


def integer(name: str, default: int) -> int:
    """A whole number. Raises ImproperlyConfigured on anything else."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def site_url(name: str, default: str) -> str:
    """A site's address without path, such as https://letters.example.org.

    Raises ImproperlyConfigured when scheme or host are missing, or when a path is given.
    """
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
        raise ImproperlyConfigured(f"{name} must look like https://letters.example.org, not {value!r}.")
    return value


def database(name: str, default: str) -> dict[str, object]:
    """A Django database from its URL; PostgreSQL is pooled, SQLite is opened for several processes.

    SQLite: WAL, and IMMEDIATE transactions, because a deferred one that turns to writing fails at
    once instead of waiting (https://sqlite.org/isolation.html).
    Raises ImproperlyConfigured for an URL that cannot be read or another engine.
    """
    url = text(name, default)
    try:
        config = dict(dj_database_url.parse(url))
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"{name} cannot be read: {error}") from None
    engine = str(config["ENGINE"]).rsplit(".", 1)[-1]
    options = dict(config.get("OPTIONS") or {})
    if engine == "sqlite3":
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        options |= {"timeout": 30, "transaction_mode": "IMMEDIATE", "init_command": pragmas}
    elif engine == "postgresql":
        options.setdefault("pool", {"min_size": 1, "max_size": 8, "timeout": 15})
        options.setdefault("connect_timeout", 10)
    else:
        raise ImproperlyConfigured(f"{name}: only PostgreSQL and SQLite are supported, not {engine}.")
    return config | {"OPTIONS": options}


def mailer(name: str) -> dict[str, object]:
    """A Django mailer from its URL; unset, one that refuses anything but this machine.

    smtp://user:password@host:587 (STARTTLS demanded), smtps://…:465 (TLS from the start),
    smtp+plain://host:25 (no TLS: only for a relay on a trusted network),
    loopback://127.0.0.1:1025 (the default). `?timeout=seconds` changes the timeout.
    Raises ImproperlyConfigured for another scheme or a missing host.
    """
    parts = urlsplit(text(name, "loopback://127.0.0.1:1025"))
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        known = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
        raise ImproperlyConfigured(f"{name} must start with one of {known} and name a host.")
    query = parse_qs(parts.query)
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        timeout = int(query.get("timeout", [str(MAIL_TIMEOUT)])[0])
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: port and timeout must be whole numbers: {error}") from None
    options: dict[str, object] = {"host": parts.hostname, "port": port, "timeout": timeout}
    if parts.username:
        options |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    if parts.scheme == "smtp":
        options["use_tls"] = True
    elif parts.scheme == "smtps":
        options["use_ssl"] = True
    backend = LOOPBACK_BACKEND if parts.scheme == "loopback" else SMTP_BACKEND
    return {"BACKEND": backend, "OPTIONS": options}
