"""What each answer of a provider, or its silence, does to a letter."""

import ssl
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
import requests
import urllib3

from letters.sending import answers, providers
from letters.sending.jobs import Verdict
from tests.provider import YES, Answer, closed_port, job, verdicts

SAYS = [
    # nothing was done: later, and everything slows down
    ("mailgun", 429, "Too many requests", {"Retry-After": "17"}, "later", True, 17.0),
    ("mailgun", 429, "", {}, "later", True, None),
    ("mailgun", 503, "", {"Retry-After": "3"}, "later", True, 3.0),
    ("mailgun", 503, "<html>", {}, "later", True, None),
    ("sparkpost", 420, "exceeded", {}, "later", True, None),
    ("mailgun", 408, "", {}, "later", True, None),
    # not the letter's fault
    ("mailgun", 401, "Forbidden", {}, "later", True, None),
    ("mailgun", 402, "", {}, "later", True, None),
    ("mailgun", 403, "", {}, "later", True, None),
    ("mailgun", 404, "Domain not found: x.example", {}, "later", True, None),
    ("postmark", 422, {"ErrorCode": 412, "Message": "Account is pending"}, {}, "later", True, None),
    ("postmark", 422, {"ErrorCode": 100, "Message": "Maintenance"}, {}, "later", True, None),
    ("mandrill", 500, {"status": "error", "name": "Invalid_Key"}, {}, "later", True, None),
    ("brevo", 400, {"code": "not_enough_credits"}, {}, "later", True, None),
    ("sparkpost", 400, {"errors": [{"code": "7001", "message": "x"}]}, {}, "later", True, None),
    # perhaps not the letter's fault
    ("resend", 422, {"name": "x", "message": "Invalid `from` field"}, {}, "later", False, None),
    ("sendgrid", 400, {"errors": [{"message": "sender not verified"}]}, {}, "later", False, None),
    # this letter, for good
    ("mailgun", 400, {"message": "'to' parameter is not a valid address."}, {}, "refused", False, None),
    ("brevo", 400, {"code": "invalid_parameter", "message": "invalid to"}, {}, "refused", False, None),
    ("mailersend", 422, {"message": "The to.0.email must be valid."}, {}, "refused", False, None),
    ("mandrill", 500, {"name": "ValidationError", "message": "bad to"}, {}, "refused", False, None),
    ("sparkpost", 413, "", {}, "refused", False, None),
    # who knows
    ("mailgun", 500, "", {}, "doubt", True, None),
    ("mailgun", 502, "", {}, "doubt", True, None),
    ("mailgun", 504, "", {}, "doubt", True, None),
    ("mandrill", 500, {"name": "GeneralError"}, {}, "doubt", True, None),
    ("mailgun", 200, "no JSON", {}, "doubt", True, None),
    ("mailgun", 200, {"unheard": "of"}, {}, "doubt", True, None),
    ("postmark", 200, [], {}, "doubt", True, None),
    ("postmark", 200, {"no": "list"}, {}, "doubt", True, None),
    ("mailgun", 409, "", {}, "doubt", False, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "body", "headers", "verdict", "about_relay", "wait"), SAYS)
@pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid")
def test_what_answers_mean(offer, name, status, body, headers, verdict, about_relay, wait):
    _, [result] = offer(name, Answer(status, body, headers))
    assert (result.verdict.value, result.about_relay, result.wait) == (verdict, about_relay, wait)
    assert str(status) in result.words
    assert "secret" not in result.words


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("mandrill", [{"email": "cabinet@mfa.fr.example", "status": "rejected", "_id": "abc"}]),
        ("mandrill", [{"email": "cabinet@mfa.fr.example", "status": "invalid"}]),
        ("postmark", [{"ErrorCode": 406, "Message": "You tried to send to an inactive recipient."}]),
        ("postmark", [{"ErrorCode": 300, "Message": "Invalid 'To' address: 'x'."}]),
        ("sparkpost", {"results": {"total_accepted_recipients": 0, "total_rejected_recipients": 1, "id": 1}}),
        ("resend", {"data": [], "errors": [{"index": 0, "message": "Invalid `to` field."}]}),
        ("mailjet", {"Messages": [{"Status": "error", "Errors": [{"ErrorCode": "mj-0013"}]}]}),
    ],
)  # fmt: skip
def test_a_recipient_that_a_provider_will_not_write_to_is_refused(offer, name, body):
    assert verdicts(offer(name, Answer(body=body))[1]) == ["refused"]


@pytest.mark.parametrize(
    ("name", "body", "verdict"),
    [
        ("mandrill", [{"email": "cabinet@mfa.fr.example", "status": "scheduled", "_id": "abc"}], "taken"),
        ("mandrill", [{"email": "cabinet@mfa.fr.example", "status": "scheduled"}], "doubt"),
        ("mandrill", [], "doubt"),
    ],
)
def test_an_unknown_status_is_a_yes_only_with_a_number(offer, name, body, verdict):
    assert verdicts(offer(name, Answer(body=body))[1]) == [verdict]


def test_a_date_to_wait_for_is_read_by_the_other_sides_clock():
    now = datetime(2031, 1, 1, tzinfo=UTC)  # its clock, years ahead of ours
    headers = {"Date": format_datetime(now, usegmt=True), "Retry-After": "Wed, 01 Jan 2031 00:01:30 GMT"}
    assert answers.seconds_to_wait(headers) == 90.0
    assert answers.seconds_to_wait(headers | {"Retry-After": "Tue, 31 Dec 2030 23:00:00 GMT"}) == 0.0
    assert answers.seconds_to_wait({"Retry-After": formatdate(usegmt=True)}) is None


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0.0), ("99999999999", 86_400.0), ("-5", None), ("soon", None), ("", None)]
)
def test_nonsense_to_wait_for_is_no_time(value, seconds):
    assert answers.seconds_to_wait({"Retry-After": value, "Date": formatdate(usegmt=True)}) == seconds


def test_a_provider_that_is_not_there_was_never_asked(use):
    use("mailgun", closed_port())
    [(_, first), (_, second)] = providers.submit("letters", [job(1), job(2)])
    assert (first.verdict, first.about_relay) == (Verdict.LATER, True)
    assert (second.verdict, second.words) == (Verdict.UNTOUCHED, first.words)


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://127.0.0.1/"])
@pytest.mark.parametrize("name", ["mailgun", "postmark"])
def test_an_address_that_is_none_was_never_asked(use, name, url):
    use(name, url)
    [(_, result)] = providers.submit("letters", [job()])
    assert (result.verdict, result.about_relay) == (Verdict.LATER, True)


@pytest.mark.parametrize("name", ["mailgun", "postmark"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=YES["mailgun"][0], hangs=0.6),
        Answer(breaks="before"),
        Answer(body=YES["mailgun"][0], breaks="within"),
    ],
    ids=["no answer in time", "ended without an answer", "ended within the answer"],
)
def test_a_lost_answer_is_a_doubt_and_the_rest_is_not_offered(offer, name, answer):
    asked, results = offer(name, answer, jobs=12, timeout=0.3)
    together = 10 if name == "postmark" else 1
    assert verdicts(results) == ["doubt"] * together + ["untouched"] * (12 - together)
    assert all(result.about_relay for result in results[:together])
    assert len(asked) == 1


def test_a_certificate_that_does_not_hold_is_never_spoken_to():
    inner = ssl.SSLCertVerificationError("certificate verify failed")
    pool = urllib3.HTTPSConnectionPool("x.example")
    outer = urllib3.exceptions.MaxRetryError(pool, "/", urllib3.exceptions.SSLError(inner))
    assert answers.of_error("X", requests.exceptions.SSLError(outer)).verdict is Verdict.LATER
    other = urllib3.exceptions.SSLError(ssl.SSLError("record layer failure"))
    assert answers.of_error("X", requests.exceptions.SSLError(other)).verdict is Verdict.DOUBT


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "MessageRejected", "refused"),
        (400, "MailFromDomainNotVerifiedException", "later"),
        (429, "TooManyRequestsException", "later"),
        (403, "AccessDeniedException", "later"),
        (500, "InternalFailure", "doubt"),
    ],
)
def test_amazons_errors_are_read_without_its_library(status, code, verdict):
    error = RuntimeError(code)
    error.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert answers.of_error("Amazon SES", error).verdict.value == verdict


@pytest.mark.parametrize("name", sorted(answers.BEFORE_AWS))
def test_amazon_not_reached_was_never_asked(name):
    inner = type(name, (Exception,), {})("?")
    outer = RuntimeError("Anymail's")
    outer.__cause__ = inner
    assert answers.of_error("Amazon SES", outer).verdict is Verdict.LATER
