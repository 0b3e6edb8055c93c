"""Several letters in one request, and requests that may be repeated: each letter has its own result."""

import time

import pytest

from letters.sending import providers
from tests.provider import YES, Answer, Provider, job, verdicts


def test_a_key_lets_a_lost_answer_be_asked_for_again(offer):
    asked, results = offer(
        "resend", Answer(breaks="before"), Answer(body={"data": [{"id": "a"}, {"id": "b"}]}), jobs=2
    )
    assert [result.provider_id for result in results] == ["a", "b"]
    first, second = asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body
    assert first.headers["x-batch-validation"] == "permissive"


def test_other_letters_have_another_key(use):
    with Provider(Answer(body=YES["resend"][0])) as provider:
        use("resend", provider.url)
        for number in (1, 1, 2):
            list(providers.submit("letters", [job(number)]))
    keys = [one.headers["Idempotency-Key"] for one in provider.asked]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("again", [Answer(503), Answer(429), Answer(500), Answer(401)])
def test_what_is_lost_twice_stays_in_doubt_though_it_has_a_key(offer, again):
    asked, results = offer("brevo", Answer(502), again, jobs=2)
    assert verdicts(results) == ["doubt", "untouched"]
    assert len(asked) == 2


def test_brevo_says_twice_when_it_may_have_taken_the_first(offer):
    twice = Answer(400, {"code": "duplicate_parameter", "message": "idempotencyKey was used"})
    asked, results = offer("brevo", Answer(breaks="before"), twice)
    assert verdicts(results) == ["doubt"]
    keys = [one.json["headers"]["idempotencyKey"] for one in asked]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 36


def test_without_a_key_nothing_is_asked_twice(offer):
    asked, results = offer("mailgun", Answer(500), jobs=1)
    assert (len(asked), verdicts(results)) == (1, ["doubt"])


def test_resend_refuses_a_key_whose_letters_changed(offer):
    conflict = Answer(409, {"name": "invalid_idempotent_request", "message": "other payload"})
    assert verdicts(offer("resend", conflict)[1]) == ["doubt"]


def test_different_letters_travel_together_and_each_has_its_own_result(offer):
    def yes(number: int) -> dict:
        return {"ErrorCode": 0, "Message": "OK", "MessageID": f"m{number}"}

    wrong = {"ErrorCode": 406, "Message": "You tried to send to an inactive recipient."}
    first = [yes(1), wrong, *map(yes, range(3, 11))]
    asked, results = offer("postmark", Answer(body=first), Answer(body=[yes(11), yes(12)]), jobs=12)
    assert verdicts(results) == ["taken", "refused", *["taken"] * 10]
    assert [result.provider_id for result in results] == ["m1", "", *(f"m{n}" for n in range(3, 13))]
    assert [one.path for one in asked] == ["/email/batch"] * 2
    assert [said["TextBody"] for one in asked for said in one.json] == [
        f"Monsieur,\nlettre {number}\n" for number in range(1, 13)
    ]
    assert len({one.connection for one in asked}) == 1  # one connection for all


def test_an_invalid_letter_stops_no_other_at_resend(offer):
    body = {"data": [{"id": "a"}, {"id": "c"}], "errors": [{"index": 1, "message": "Invalid `to` field."}]}
    asked, results = offer("resend", Answer(body=body), jobs=3)
    assert verdicts(results) == ["taken", "refused", "taken"]
    assert [result.provider_id for result in results] == ["a", "", "c"]
    assert asked[0].path == "/emails/batch"


def test_a_request_refused_as_a_whole_is_asked_one_by_one(offer):
    yes = [{"ErrorCode": 0, "Message": "OK", "MessageID": "m"}]
    no = [{"ErrorCode": 300, "Message": "Invalid 'To' address"}]
    refused = Answer(422, {"ErrorCode": 402, "Message": "Invalid JSON"})
    asked, results = offer("postmark", refused, Answer(body=yes), Answer(body=no), Answer(body=yes), jobs=3)
    assert verdicts(results) == ["taken", "refused", "taken"]
    assert [len(one.json) for one in asked] == [3, 1, 1, 1]


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": "a"}]},
        {"data": [{"id": "a"}, {"id": "b"}], "errors": [{"index": 0}]},
        {"data": [{"id": "a"}], "errors": [{"index": 7}]},
        {"data": None},
        [],
        "null",
    ],
)
def test_answers_that_match_no_letters_are_a_doubt_for_all(offer, body):
    assert verdicts(offer("resend", Answer(body=body), jobs=2)[1]) == ["doubt", "doubt"]


def test_single_letters_share_a_connection(offer):
    asked, results = offer("mailgun", Answer(body=YES["mailgun"][0]), jobs=3)
    assert verdicts(results) == ["taken"] * 3
    assert len({one.connection for one in asked}) == 1


def test_results_are_told_as_soon_as_they_are_known(use):
    with Provider(Answer(body=YES["mailgun"][0])) as provider:
        use("mailgun", provider.url)
        told = providers.submit("letters", [job(1), job(2)])
        next(told)
        assert len(provider.asked) == 1
        list(told)


def test_letters_looked_at_too_long_ago_are_not_offered(use, monkeypatch):
    monkeypatch.setattr(providers, "FRESH", 1.8)
    with Provider(Answer(body=YES["mailgun"][0])) as provider:
        use("mailgun", provider.url)
        old = job(2, checked_at=time.monotonic() - 2)
        results = [result for _, result in providers.submit("letters", [job(1), old, job(3)])]
    assert verdicts(results) == ["taken", "untouched", "taken"]
