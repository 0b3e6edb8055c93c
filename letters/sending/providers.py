"""Letters by a provider's API: any mailer of the settings that is not SMTP. Anymail speaks, we judge."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any

from anymail.backends.base import AnymailBaseBackend
from anymail.message import AnymailMessage
from anymail.utils import EmailAddress
from django.core.mail import mailers

from letters.sending import answers, batches
from letters.sending.exchange import FRESH, STALE
from letters.sending.jobs import Job, Result, Verdict
from letters.sending.mime import one_line, printable

log = logging.getLogger(__name__)
SMTP = {
    None,  # Django's default
    "django.core.mail.backends.smtp.EmailBackend",
    "letters.sending.backends.LoopbackBackend",
}
FOLD = re.compile(r"\r?\n(?=[ \t])")  # RFC 5322 §2.2.3
BATCHES: dict[str, Callable[[Any, list[Any]], list[Result]]] = {
    "Postmark": batches.postmark,
    "Resend": batches.resend,
}
# Where a request carries a key of idempotency, so that asking again cannot send twice. Keys live for a while
# only (Resend 24 hours, Brevo 15 minutes): we ask again at once, never from the queue.
KEYED = {"Brevo", "Resend"}
# Headers that a provider does not take, "*" for all of them: the letter goes without, or with its own.
NOT_TAKEN = {
    "MailerSend": {"*"},  # refused to most accounts: https://www.mailersend.com/help/custom-headers
    "Mailjet": {"Message-ID"},  # its error send-0011, which refuses the letter
}


def is_provider(alias: str) -> bool:
    """Whether mail of this mailer goes by `submit`, and not by our own SMTP. Raises KeyError without it."""
    return mailers.settings[alias].get("BACKEND") not in SMTP


def submit(
    alias: str, jobs: list[Job], *, about_to: Callable[[Job], None] = lambda job: None
) -> Iterator[tuple[Job, Result]]:
    """Offers jobs to a mailer, over one connection; each result as soon as it is known, one for each job.

    To be read to its end: what was sent together is told one by one. `about_to` is called for each job before
    it is offered. After trouble that is not about a
    message, or when it was asked too long ago whether anything speaks against them, the rest comes back
    untouched. Raises InvalidMailer or ImproperlyConfigured, before anything is offered, for a mailer that
    cannot be used.
    """
    mailer = mailers[alias]
    size = batches.AT_ONCE if getattr(mailer, "esp_name", "") in BATCHES else 1
    waiting, trouble = list(jobs), ""
    with mailer:
        while waiting:
            group, waiting = waiting[:size], waiting[size:]
            now, fresh = time.monotonic(), []
            for job in group:
                if trouble or now - job.checked_at > FRESH:
                    yield job, Result(Verdict.UNTOUCHED, trouble or STALE)
                else:
                    fresh.append(job)
            for job in fresh:
                about_to(job)
            for job, result in _offer(mailer, fresh):
                trouble = trouble or (result.words if result.about_relay else "")
                yield job, result


def message(job: Job, provider: str = "") -> Any:
    """A job's mail as a message of Django's, with what a provider is asked for: no tracking, our number.

    No envelope sender: bounces go to the provider, whose webhook tells us; the reply domain has its MX here.
    Raises ValueError, LookupError or UnicodeError for what cannot be written.
    """
    mail = job.mail
    assert mail is not None
    text, html = printable("".join(mail.text)), printable("".join(mail.html))
    for part in (mail.message_id, text, html):
        part.encode()  # a lone surrogate travels no way
    headers = {"Message-ID": mail.message_id, "Content-Language": mail.language}
    headers |= {name: _plain(value) for name, value in mail.extra}
    not_taken = NOT_TAKEN.get(provider, set())
    headers = {
        name: value for name, value in headers.items() if value and not not_taken & {"*", name}
    } | _asked(provider, mail.message_id)
    made = AnymailMessage(
        subject=_plain(mail.subject),
        body=text,
        from_email=_mailbox(mail.sender).address,
        to=[_recipient(job).address],
        reply_to=[_mailbox(mail.reply_to).address] if mail.reply_to else [],
        headers=headers,
        metadata={"delivery": str(job.number)},
        track_opens=False,
        track_clicks=False,
    )
    made.attach_alternative(html, "text/html")
    return made


def _asked(provider: str, message_id: str) -> dict[str, str]:
    """Headers by which a provider is asked for something; they do not travel on."""
    if provider == "Brevo":  # https://developers.brevo.com/docs/heterogenous-versions-batch-emails
        return {"idempotencyKey": str(uuid.uuid5(uuid.NAMESPACE_URL, message_id))}
    if provider == "Postmark":  # https://postmarkapp.com/developer/user-guide/send-email-with-smtp
        return {"X-PM-KeepID": "true"}  # else it replaces the Message-ID
    return {}


def _offer(mailer: Any, jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
    """Writes and sends some jobs. One that cannot be written for this provider fails alone."""
    if not isinstance(mailer, AnymailBaseBackend):
        yield from ((job, _by_django(mailer, job)) for job in jobs)
        return
    written: list[tuple[Job, Any]] = []
    for job in jobs:
        try:
            made = message(job, mailer.esp_name)
            written.append((job, mailer.build_message_payload(made, mailer.send_defaults)))
        except Exception as error:  # nothing was sent: whatever is wrong with this one, it says so
            log.exception("delivery %s cannot be written for %s", job.number, mailer.esp_name)
            yield job, Result(Verdict.REFUSED, f"cannot be written for {mailer.esp_name}: {error}"[:250])
    if written:
        results = _settled(mailer, [payload for _, payload in written])
        yield from zip((job for job, _ in written), results, strict=True)


def _settled(mailer: Any, payloads: list[Any]) -> list[Result]:
    """The results of a request; what is in doubt is asked again where a key makes that harmless."""
    send = BATCHES.get(mailer.esp_name, _alone)
    results = send(mailer, payloads)
    if results[0].verdict is Verdict.REFUSED and len(payloads) > 1 and len(set(results)) == 1:
        # Perhaps one of them spoilt the request: nothing was sent, so each is asked for itself.
        return [result for payload in payloads for result in send(mailer, [payload])]
    if mailer.esp_name in KEYED and any(result.verdict is Verdict.DOUBT for result in results):
        again = send(mailer, payloads)
        # That the second request did not get through says nothing of the first.
        return [old if new.verdict is Verdict.LATER else new for old, new in zip(results, again, strict=True)]
    return results


def _alone(mailer: Any, payloads: list[Any]) -> list[Result]:
    [payload] = payloads
    try:
        answer = mailer.post_to_esp(payload, payload.message)
        recipients = mailer.parse_recipient_status(answer, payload, payload.message)
    except Exception as error:  # whatever it is: the letter may have been taken, unless we know better
        return [answers.of_error(mailer.esp_name, error)]
    return [answers.of_recipients(mailer.esp_name, recipients, answer)]


def _by_django(mailer: Any, job: Job) -> Result:
    """By a mailer that is not Anymail's, of which nothing is known but whether it raises."""
    name = type(mailer).__module__
    try:
        made = message(job)
    except (ValueError, LookupError) as error:
        return Result(Verdict.REFUSED, f"cannot be written: {error}"[:250])
    try:
        sent = mailer.send_messages([made])
    except Exception as error:
        return answers.of_error(name, error)
    if sent:
        return Result(Verdict.TAKEN, f"{name} took it")
    return Result(Verdict.DOUBT, f"{name} does not say that it took it")


def _recipient(job: Job) -> EmailAddress:
    """The envelope's address, with the header's name where it is the same."""
    assert job.mail is not None
    shown = _mailbox(job.mail.recipient)
    return shown if shown.addr_spec == job.recipient else EmailAddress(addr_spec=job.recipient)


def _mailbox(value: str) -> EmailAddress:
    """A finished address header as name and address. Raises ValueError when it holds no address."""
    name, address = parseaddr(FOLD.sub("", value))
    return EmailAddress(display_name=_plain(name), addr_spec=address)


def _plain(value: str) -> str:
    """The text of a header on one line, whether its words are still to be encoded or are so already."""
    return one_line(str(make_header(decode_header(FOLD.sub("", value)))))
