"""Reads settings from the environment, typed, and fails loudly with the variable's name."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

LOOPBACK_BACKEND = "letters.sending.backends.LoopbackBackend"
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
MAIL_TIMEOUT = 30  # seconds; no mailer may wait for ever
LEASE_BEYOND_TIMEOUT = 10  # seconds in which a message gets to its relay, and the answer into the ledger
FIELD_NAME = re.compile(r"[!-9;-~]{1,60}")  # RFC 5322 §2.2, and short enough for one line
OUR_FIELDS = {"from", "to", "reply-to", "subject", "date", "message-id", "mime-version"}
DEFAULT_PORTS = {"loopback": 1025, "smtp": 587, "smtps": 465, "smtp+plain": 25}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SECRET_LENGTH = 16

# Anymail's backends (https://anymail.dev/en/stable/esps/): what each needs, and what it may be told besides.
PROVIDERS: dict[str, tuple[set[str], set[str]]] = {
    "amazon_ses": ({"region_name"}, {"aws_access_key_id", "aws_secret_access_key", "configuration_set_name"}),
    "brevo": ({"api_key"}, set()),
    "mailersend": ({"api_token"}, set()),
    "mailgun": ({"api_key"}, {"sender_domain"}),
    "mailjet": ({"api_key", "secret_key"}, set()),
    "mailtrap": ({"api_token"}, {"sandbox_id"}),
    "mandrill": ({"api_key"}, set()),
    "postal": ({"api_key", "api_url"}, set()),
    "postmark": ({"server_token"}, {"message_stream"}),
    "resend": ({"api_key"}, set()),
    "scaleway": ({"secret_key", "project_id"}, {"region"}),
    "sendgrid": ({"api_key"}, set()),
    "sparkpost": ({"api_key"}, {"subaccount"}),
    "unisender_go": ({"api_key", "api_url"}, set()),
}
# What proves a provider's webhook: read from ANYMAIL_<name>, and ANYMAIL["<name>"] in the settings.
WEBHOOK_KEYS = (
    "WEBHOOK_SECRET", "MAILERSEND_SIGNING_SECRET", "MAILGUN_WEBHOOK_SIGNING_KEY", "MAILTRAP_TRACKING_SECRET",
    "MANDRILL_WEBHOOK_KEY", "MANDRILL_WEBHOOK_URL", "POSTAL_WEBHOOK_KEY", "RESEND_SIGNING_SECRET",
    "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY", "UNISENDER_GO_API_KEY",
)  # fmt: skip


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


def header(name: str) -> str:
    """The name of a header field that we may add to letters; "" when it is unset.

    Raises ImproperlyConfigured for what is no field's name, and for a field that letters have already.
    """
    value = text(name, "")
    ours = value.lower() in OUR_FIELDS or value.lower().startswith("content-")
    if value and (ours or not FIELD_NAME.fullmatch(value)):
        raise ImproperlyConfigured(
            f"{name} must be a header's name such as X-Letter-ID, of at most 60 ASCII characters without"
            f" space or colon, and not one that letters have already: not {value!r}."
        )
    return value


def lease(name: str, default: int, mailers: Mapping[str, Mapping[str, Any]]) -> int:
    """How long a silent worker keeps what it claimed, in seconds; `mailers` by the variables of their URLs.

    A relay may take its whole timeout to answer: the lease must not run out meanwhile, or what leaves is
    taken for doubtful. Between mailers that reach only this machine (tests, demo) any lease will do.
    Raises ImproperlyConfigured, naming the mailer, for one that is too short.
    """
    value = integer(name, default)
    if all(mailer["BACKEND"] == LOOPBACK_BACKEND for mailer in mailers.values()):
        return value
    for variable, mailer in mailers.items():
        least = _timeout(mailer) + LEASE_BEYOND_TIMEOUT
        if value < least:
            raise ImproperlyConfigured(
                f"{name} must be at least {least}: {LEASE_BEYOND_TIMEOUT} seconds more than the timeout in"
                f" {variable}."
            )
    return value


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
        config["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured(f"{name}: only PostgreSQL and SQLite are supported, not {engine}.")
    return config | {"OPTIONS": options}


def mailer(name: str) -> dict[str, object]:
    """A Django mailer from its URL; unset, one that refuses anything but this machine.

    smtp://user:password@host:587 (STARTTLS demanded), smtps://…:465 (TLS from the start),
    smtp+plain://host:25 (no TLS: only for a relay on a trusted network),
    loopback://127.0.0.1:1025 (the default), or a provider: anymail+postmark://?server_token=….
    `?timeout=seconds` changes the timeout.
    Raises ImproperlyConfigured for another scheme, a missing host, or a provider's missing option.
    """
    url = text(name, "loopback://127.0.0.1:1025")
    if url.startswith("anymail+"):
        return _provider(name, url)
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        known = ", ".join(f"{scheme}://" for scheme in (*DEFAULT_PORTS, "anymail+…"))
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


def _timeout(mailer: Mapping[str, Any]) -> int:
    """The timeout of a mailer that `mailer` made, in seconds."""
    options = mailer["OPTIONS"]
    where = options["client_params"]["config"] if "client_params" in options else options
    return int(where["timeout"] if "timeout" in where else where["read_timeout"])


def webhooks() -> dict[str, str]:
    """What proves providers' webhooks, as Anymail's settings; {} without any.

    Raises ImproperlyConfigured when ANYMAIL_WEBHOOK_SECRET is not a user and a password of some length.
    """
    found = {key: value for key in WEBHOOK_KEYS if (value := text(f"ANYMAIL_{key}", ""))}
    user, _, password = found.get("WEBHOOK_SECRET", "").partition(":")
    if "WEBHOOK_SECRET" in found and (not user or len(password) < SECRET_LENGTH):
        raise ImproperlyConfigured(
            "ANYMAIL_WEBHOOK_SECRET must be user:password, the password of at least "
            f"{SECRET_LENGTH} characters."
        )
    return found


def _provider(name: str, url: str) -> dict[str, object]:
    """An Anymail mailer. What is wrong is never quoted: it may be a key in the wrong place."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    provider = scheme.removeprefix("anymail+").replace("-", "_").lower()
    if provider not in PROVIDERS or place.strip("/"):
        raise ImproperlyConfigured(
            f"{name} must look like anymail+provider://?option=value&option=value, the provider one of "
            f"{', '.join(PROVIDERS)}."
        )
    needed, possible = PROVIDERS[provider]
    # Not parse_qs: in keys, a plus sign is a plus sign.
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    options = {option: unquote(value) for option, _, value in pairs}
    if not options.keys() <= needed | possible | {"api_url", "timeout"}:
        known = ", ".join(sorted(needed | possible | {"api_url", "timeout"}))
        raise ImproperlyConfigured(f"{name}: {provider} knows only these options: {known}.")
    if missing := sorted(option for option in needed if not options.get(option)):
        raise ImproperlyConfigured(f"{name}: {provider} needs {', '.join(missing)}.")
    timeout = options.pop("timeout", str(MAIL_TIMEOUT))
    if not timeout.isdecimal() or not int(timeout):
        raise ImproperlyConfigured(f"{name}: the timeout must be a whole number of seconds.")
    site = urlsplit(options.get("api_url", "https://"))
    if site.scheme != "https" and (site.scheme != "http" or site.hostname not in LOOPBACK):
        raise ImproperlyConfigured(f"{name}: api_url must start with https://, or the key could be read.")
    backend = f"anymail.backends.{provider}.EmailBackend"
    chosen = _ses(options, int(timeout)) if provider == "amazon_ses" else options | {"timeout": int(timeout)}
    return {"BACKEND": backend, "OPTIONS": chosen | {"ignore_unsupported_features": True}}


def _ses(options: dict[str, str], timeout: int) -> dict[str, object]:
    """Options for boto3, told never to repeat a request by itself: that could send a letter twice."""
    patience = {"connect_timeout": timeout, "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
    known = {"region_name", "aws_access_key_id", "aws_secret_access_key"} & options.keys()
    client = {option: options[option] for option in known}
    if "api_url" in options:
        client["endpoint_url"] = options["api_url"]
    chosen: dict[str, object] = {"client_params": client | {"config": patience}}
    if "configuration_set_name" in options:
        chosen["configuration_set_name"] = options["configuration_set_name"]
    return chosen
