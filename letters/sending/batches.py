"""Several different messages in one request, where a provider's API takes that: Postmark and Resend.

Anymail's own batches share one body. Here each message is written by Anymail as if it travelled alone, and
the finished parts travel together; each has its own result.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import requests

from letters.sending import answers
from letters.sending.jobs import Result, Verdict

AT_ONCE = 10  # messages in a request: as many may be in doubt when its answer is lost


def postmark(mailer: Any, payloads: list[Any]) -> list[Result]:
    """https://postmarkapp.com/developer/api/email-api#send-batch-emails: one answer each, in their order."""
    return _together(mailer, payloads, "email/batch", {}, _postmark_says)


def resend(mailer: Any, payloads: list[Any]) -> list[Result]:
    """https://resend.com/docs/api-reference/emails/send-batch-emails: one that is invalid stops no other.

    The same messages have the same key of idempotency (kept for 24 hours): asked again, Resend repeats its
    first answer and sends nothing (https://resend.com/docs/dashboard/emails/idempotency-keys).
    """
    ids = "\n".join(payload.message.extra_headers["Message-ID"] for payload in payloads)
    headers = {
        "x-batch-validation": "permissive",
        "Idempotency-Key": hashlib.sha256(ids.encode()).hexdigest(),
    }
    return _together(mailer, payloads, "emails/batch", headers, _resend_says)


def _together(
    mailer: Any,
    payloads: list[Any],
    endpoint: str,
    headers: dict[str, str],
    read: Callable[[Any, int], list[Result]],
) -> list[Result]:
    provider, many = mailer.esp_name, len(payloads)
    params = payloads[0].get_request_params(mailer.api_url)
    params |= {
        "url": urljoin(mailer.api_url, endpoint),
        "data": json.dumps([payload.data for payload in payloads], default=dict),  # of headers without case
        "headers": params["headers"] | headers,
        "timeout": mailer.timeout,
    }
    try:
        answer = mailer.session.request(**params)
    except requests.RequestException as error:
        return [answers.of_error(provider, error)] * many
    if not answer.ok:
        return [answers.of_answer(provider, answer.status_code, answer.text, answer.headers)] * many
    try:
        return read(answer.json(), many)
    except (ValueError, KeyError, TypeError, AttributeError):
        lost = answers.of_answer(provider, answer.status_code, "cannot be read: " + answer.text, {})
        return [lost] * many


def _postmark_says(found: Any, many: int) -> list[Result]:
    """Raises ValueError, KeyError, TypeError or AttributeError for what cannot be matched to the messages."""
    if len(found) != many:
        raise ValueError("not one answer for each message")
    return [
        # Without a code, Postmark took the message but may be slow with it.
        Result(Verdict.TAKEN, f"Postmark: {one['Message']}", provider_id=str(one["MessageID"]))
        if one.get("ErrorCode", 0) == 0
        else answers.of_answer("Postmark", 422, json.dumps(one), {})
        for one in found
    ]


def _resend_says(found: Any, many: int) -> list[Result]:
    """The numbers of those taken, in their order; apart from them those that are invalid, by index.

    Raises ValueError, KeyError, TypeError or AttributeError for what cannot be matched to the messages.
    """
    wrong = {one["index"]: json.dumps(one) for one in found.get("errors") or []}
    taken = [str(one["id"]) for one in found["data"]]
    if len(wrong) + len(taken) != many or not wrong.keys() <= set(range(many)):
        raise ValueError("not one answer for each message")
    numbers = iter(taken)
    return [
        answers.of_answer("Resend", 422, wrong[index], {})
        if index in wrong
        else Result(Verdict.TAKEN, "Resend: queued", provider_id=next(numbers))
        for index in range(many)
    ]
