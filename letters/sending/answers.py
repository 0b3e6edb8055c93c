"""What a provider's answer, or its silence, means for a letter. Pure.

A letter that may have been taken is in doubt, and one that surely was not may be tried again. A refusal
counts against the letter only where it is not about our account.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3
from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)

from letters.sending.jobs import Result, Verdict
from letters.sending.mime import one_line

READ, WORDS = 2000, 250  # characters of what a provider says that are looked at, and kept
LONGEST = 86_400.0  # seconds that a provider may ask us to wait
BUSY = {408, 420, 421, 425, 429, 503}  # nothing was done (RFC 9110 §15, RFC 6585 §4; 420: SparkPost)
ACCOUNT = {401, 402, 403, 404, 405, 407, 410}  # our key, credit, domain or address of the service
CONFLICT = 409  # a key of idempotency is in use: the first request with it may have been taken

# Providers' own codes that say more than their HTTP status, as the status that says the same.
MEANT = {
    # https://postmarkapp.com/developer/api/overview#error-codes (always with 422)
    ("Postmark", "10"): 401,
    ("Postmark", "100"): 503,
    ("Postmark", "400"): 403,
    ("Postmark", "401"): 403,
    ("Postmark", "405"): 402,
    ("Postmark", "412"): 403,
    ("Postmark", "413"): 403,
    ("Postmark", "429"): 429,
    # https://mailchimp.com/developer/transactional/docs/error-glossary/ (always with 500)
    ("Mandrill", "Invalid_Key"): 401,
    ("Mandrill", "PaymentRequired"): 402,
    ("Mandrill", "PoorReputation"): 403,
    ("Mandrill", "ServiceUnavailable"): 503,
    ("Mandrill", "Unknown_Subaccount"): 404,
    ("Mandrill", "ValidationError"): 422,
    # https://developers.brevo.com/docs/how-it-works and …/docs/heterogenous-versions-batch-emails (with 400)
    ("Brevo", "duplicate_parameter"): CONFLICT,
    ("Brevo", "not_enough_credits"): 402,
    ("Brevo", "account_under_validation"): 403,
    # https://developers.sparkpost.com/api/transmissions/ (with 400: the sending domain is not set up)
    ("SparkPost", "7001"): 403,
    # https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html (with 400)
    ("Amazon SES", "AccountSuspendedException"): 403,
    ("Amazon SES", "MailFromDomainNotVerifiedException"): 403,
    ("Amazon SES", "SendingPausedException"): 403,
    ("Amazon SES", "LimitExceededException"): 429,
    ("Amazon SES", "ThrottlingException"): 429,
}
CODE_FIELDS = {"code", "Code", "ErrorCode", "name"}
# A refusal that speaks of our side may be about us, not the letter: it is no reason to give that up.
OUR_SIDE = re.compile(
    r"\b(from|sender|reply.?to|account|unverified|not verified|credits?|quota|plan|suspended)\b",
    re.IGNORECASE,
)
UNWRITABLE = (AnymailInvalidAddress, AnymailSerializationError, AnymailUnsupportedFeature)
# Where the connection, or its encryption, was never made, or the address of the service cannot be used.
BEFORE = (
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    ssl.SSLCertVerificationError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
BEFORE_AWS = {  # by name: boto3 is there only where somebody uses it
    "ConnectTimeoutError", "EndpointConnectionError", "NoCredentialsError", "NoRegionError",
    "ParamValidationError", "PartialCredentialsError",
}  # fmt: skip


def of_answer(provider: str, status: int, text: str, headers: Mapping[str, str]) -> Result:
    """What an HTTP answer means that is no success, or one that cannot be read."""
    said, meant = text[:READ], _meant(provider, status, text)
    words = one_line(f"{provider} says {status}: {said}")[:WORDS]
    if meant in BUSY or meant in ACCOUNT or 300 <= meant < 400:
        return Result(Verdict.LATER, words, about_relay=True, wait=seconds_to_wait(headers))
    if meant == CONFLICT:
        return Result(Verdict.DOUBT, words)
    if not 400 <= meant < 500:
        return Result(Verdict.DOUBT, words, about_relay=True)
    return Result(Verdict.LATER if OUR_SIDE.search(said) else Verdict.REFUSED, words)


def of_error(provider: str, error: Exception) -> Result:
    """What it means that a request ended in an error: only what surely never left may be tried again."""
    answer = getattr(error, "response", None)
    if isinstance(answer, requests.Response):
        return of_answer(provider, answer.status_code, answer.text, answer.headers)
    if isinstance(answer, dict):  # boto3's
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return of_answer(provider, status, json.dumps(answer.get("Error", {})), {})
    causes = list(_causes(error))
    words = one_line(f"{provider}: {type(causes[-1]).__name__}: {causes[-1]}")[:WORDS]
    if isinstance(error, UNWRITABLE):
        return Result(Verdict.REFUSED, words)
    never_asked = isinstance(error, AnymailError) and not isinstance(error, AnymailAPIError)
    if never_asked or any(_before(cause) for cause in causes):
        return Result(Verdict.LATER, words, about_relay=True)
    return Result(Verdict.DOUBT, words, about_relay=True)


def of_recipients(provider: str, recipients: Mapping[str, Any], answer: Any) -> Result:
    """What a success means, as Anymail reads it: {address: its status and the provider's number}."""
    taken = [one for one in recipients.values() if one.status in {"sent", "queued", "unknown"}]
    ids = [str(one.message_id) for one in taken if one.message_id not in (None, "")]
    known = {one.status for one in recipients.values()}
    words = f"{provider}: {', '.join(sorted(map(str, known))) or 'no recipient'}"
    if taken and (ids or known & {"sent", "queued"}):
        return Result(Verdict.TAKEN, words, provider_id=ids[0] if ids else "")
    if known and known <= {"rejected", "invalid"}:
        return Result(Verdict.REFUSED, words)
    if "failed" in known and isinstance(answer, requests.Response):
        return of_answer(provider, max(answer.status_code, 400), answer.text, answer.headers)
    return Result(Verdict.DOUBT, words)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds (RFC 9110 §10.2.3), a date by the other side's own clock; None without it."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST)
    try:
        until, now = (parsedate_to_datetime(date) for date in (value, headers.get("Date", "")))
    except ValueError:
        return None
    apart = until.replace(tzinfo=until.tzinfo or UTC) - now.replace(tzinfo=now.tzinfo or UTC)
    return min(max(apart.total_seconds(), 0.0), LONGEST)


def _meant(provider: str, status: int, text: str) -> int:
    try:
        codes = list(_codes(json.loads(text)))
    except ValueError:
        return status
    return next((MEANT[provider, code] for code in codes if (provider, code) in MEANT), status)


def _codes(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for name, value in found.items():
            if name in CODE_FIELDS:
                yield str(value)
            yield from _codes(value)
    elif isinstance(found, list):
        for one in found:
            yield from _codes(one)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made of, outermost first. Not `__context__`: that may be another request's."""
    yield error
    inner = [error.__cause__, getattr(error, "reason", None), *error.args]
    for one in inner:
        if isinstance(one, BaseException):
            yield from _causes(one)
            return


def _before(error: BaseException) -> bool:
    return isinstance(error, BEFORE) or type(error).__name__ in BEFORE_AWS
