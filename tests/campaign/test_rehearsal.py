"""The rehearsal's parts: ministries write what their table says, and the judge misses nothing."""

import smtplib
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from campaign.rehearsal import house, judging, replies, telling
from campaign.rehearsal.judging import Answered, Filed, Posted, judge
from campaign.rehearsal.mailroom import linked, open_mailroom
from campaign.rehearsal.ministries import MINISTRIES, Answer, Behaviour, address_of, behaviour_of, country_of
from campaign.rehearsal.play import Count
from campaign.rehearsal.post_office import open_post_office, refused_for_good
from campaign.rehearsal.replies import Received, Stamp
from campaign.rehearsal.servers import ServerFailed
from campaign.rehearsal.supporters import PEOPLE, _Forms
from letters.rules import matching, reading, tokens
from letters.sending.mime import Mail, build, mailbox

KEY, DOMAIN, TOKEN = b"key", "replies.example", tokens.new_reply_token(lambda symbols: symbols[7])
STAMP = Stamp(datetime(2026, 9, 1, 10, 0, tzinfo=UTC), "<answer@mfa.fr.example>")
ANSWERS = [(behaviour, answer) for behaviour in Behaviour for answer in behaviour.answers]


def a_letter(language="fr", country="FR"):
    mail = Mail(
        sender=mailbox("Amélie d’Été", f"rehearsal@{DOMAIN}"),
        recipient=mailbox("", address_of(country)),
        reply_to=tokens.reply_address(TOKEN, DOMAIN),
        subject="Le rôle de la France à l'ONU",
        text="Madame, Monsieur,\n\nÉcrit à Lyon.\n\n-- \nRéférence publique : UN75-FR-7K3M",
        html="<p>Écrit à Lyon.</p>",
        message_id="<letter@replies.example>",
        at=STAMP.at,
        language=language,
    )
    return Received(tokens.bounce_address(42, KEY, DOMAIN), address_of(country), build(mail))


class TestReplies:
    @pytest.mark.parametrize("language", ["fr", "en", "es"])
    @pytest.mark.parametrize(("behaviour", "answer"), ANSWERS)
    def test_each_is_read_and_points_home_as_the_table_says(self, behaviour, answer, language):
        reply = answer.make(a_letter(language), STAMP)
        read = reading.read(reply.content, envelope_from=reply.sender)
        pointers = matching.pointers(read, envelope_to=[reply.recipient], domain=DOMAIN, key=KEY)
        assert read.kind == answer.kind
        assert pointers[0].clue == answer.method
        assert read.message_id == STAMP.message_id

    @pytest.mark.parametrize("language", ["fr", "en", "es"])
    @pytest.mark.parametrize(("behaviour", "answer"), ANSWERS)
    def test_each_is_mail_that_any_server_carries(self, behaviour, answer, language):
        content = answer.make(a_letter(language), STAMP).content
        assert all(len(line) <= 998 for line in content.split(b"\r\n"))
        assert b"\n" not in content.replace(b"\r\n", b"")
        assert content.partition(b"\r\n\r\n")[0].isascii()

    def test_a_person_answers_in_the_letters_language_and_quotes_it(self):
        read = reading.read(replies.form_letter(a_letter("fr"), STAMP).content)
        assert read.text.startswith("Madame, Monsieur,")
        assert "Le 01/09/2026, Amélie d’Été a écrit :\n> Madame, Monsieur,\n>\n> Écrit à Lyon." in read.text
        assert read.references == ["<letter@replies.example>"]

    def test_a_letter_in_another_language_is_answered_in_english(self):
        assert "Dear Sir or Madam" in reading.read(replies.form_letter(a_letter("pt"), STAMP).content).text

    def test_who_moved_writes_from_another_house(self):
        reply = replies.from_elsewhere(a_letter(), STAMP)
        assert reply.sender == "cabinet-diplomatique@gouv.fr.example"
        assert reply.recipient == f"rehearsal@{DOMAIN}"

    def test_a_mistyped_address_is_no_token(self):
        reply = replies.retyped(a_letter(), STAMP)
        assert reply.recipient != tokens.reply_address(TOKEN, DOMAIN)
        assert tokens.reply_token_in(reply.recipient, DOMAIN) is None

    def test_reports_come_from_nobody_and_name_the_address(self):
        reply = replies.unknown_mailbox(a_letter(), STAMP)
        assert reply.sender == ""
        assert reading.read(reply.content).addresses == ["cabinet@mfa.fr.example"]


class TestTable:
    def test_addresses_lead_back_to_their_country(self):
        assert all(country_of(address_of(country)) == country for country in MINISTRIES)

    def test_whoever_is_no_ministry_has_no_behaviour(self):
        for address in (
            "ann@post.example",
            "x@mfa.fra.example",
            "x@mfa.fr.example.org",
            "x@notmfa.fr.example",
        ):
            assert behaviour_of(address) is None

    def test_a_ministry_that_is_not_in_the_table_answers(self):
        assert behaviour_of("anybody@MFA.de.example") is Behaviour.ANSWERS

    def test_every_behaviour_is_played(self):
        assert set(MINISTRIES.values()) == set(Behaviour)
        assert set(MINISTRIES) < {person.writes_to for person in PEOPLE}

    def test_supporters_have_mailboxes_of_their_own(self):
        assert len({person.email for person in PEOPLE}) == len(PEOPLE)
        assert all(behaviour_of(person.email) is None for person in PEOPLE)


ANSWER = MINISTRIES["BE"].answers[0]
LETTER = Posted("<l>", "BE", "accepted")
MAIL = Filed("<a>", "human_reply", {"<l>": "token"})
GIVEN = Answered("<a>", "<l>", ANSWER)


class TestJudge:
    def test_all_in_order(self):
        verdict = judge(1, [LETTER], [MAIL], [GIVEN])
        assert verdict.good
        assert verdict.line == {
            "selected": 1, "states": {"accepted": 1}, "replies": {"human_reply": 1},
            "expected": 1, "matched": 1,
        }  # fmt: skip

    def test_a_letter_to_a_country_without_address_is_held(self):
        assert judge(1, [Posted("<l>", "JP", "held")], [], []).good
        assert judge(1, [Posted("<l>", "JP", "accepted")], [], []).problems

    @pytest.mark.parametrize(
        "mail",
        [
            replace(MAIL, kind="auto_reply"),
            replace(MAIL, under={}),
            replace(MAIL, under={"<other>": "token"}),
            replace(MAIL, under={"<l>": "thread"}),
            replace(MAIL, under={"<l>": "token", "<other>": "token"}),
        ],
    )
    def test_an_answer_filed_otherwise_is_told(self, mail):
        verdict = judge(1, [LETTER], [mail], [GIVEN])
        assert (verdict.good, verdict.matched) == (False, 0)
        assert len(verdict.problems) == 1

    def test_an_answer_not_read_yet_is_waited_for(self):
        verdict = judge(1, [LETTER], [replace(MAIL, kind="", under={})], [GIVEN])
        assert (verdict.good, verdict.problems) == (False, [])

    def test_a_missing_answer_is_named(self):
        assert judge(1, [LETTER], [], []).missing == ["human_reply from BE"]

    def test_a_letter_sent_twice_shows(self):
        twice = [GIVEN, replace(GIVEN, message_id="<b>")]
        assert not judge(1, [LETTER], [MAIL, replace(MAIL, message_id="<b>")], twice).good

    def test_mail_that_nobody_rehearsed_shows(self):
        assert not judge(1, [LETTER], [MAIL, Filed("<c>", "human_reply")], [GIVEN]).good

    @pytest.mark.parametrize("state", ["failed", "uncertain", "expired", "held"])
    def test_a_letter_in_another_state_is_told(self, state):
        assert (
            f"the letter to BE is {state}, not accepted"
            in judge(1, [replace(LETTER, state=state)], [], []).problems
        )

    @pytest.mark.parametrize("state", sorted(judging.BUSY))
    def test_a_letter_on_its_way_is_waited_for(self, state):
        verdict = judge(1, [replace(LETTER, state=state)], [], [])
        assert (verdict.good, verdict.problems, verdict.busy) == (False, [], 1)

    def test_a_sum_that_does_not_close_is_told(self):
        assert judge(2, [LETTER], [MAIL], [GIVEN]).problems == ["2 letters selected, 1 found"]


@pytest.fixture
def door():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


class TestPostOffice:
    def test_supporters_mail_is_kept(self, door):
        with open_post_office(door, inbound="lmtp://127.0.0.1:1") as office, client(door) as sender:
            sender.sendmail("a@b.example", ["Zoë@post.example"], b"Subject: x\r\n\r\nhello\r\n", ["SMTPUTF8"])
            assert office.wait_for("Zoë@post.example", seconds=5).text.strip() == "hello"

    @pytest.mark.parametrize(
        ("address", "code"),
        [
            ("someone@example.org", b"5.7.1"),
            ("someone@example.com.evil", b"5.7.1"),
            ("someone@notexample", b"5.7.1"),
            ("cabinet@mfa.ar.example", b"5.1.1"),
        ],
    )
    def test_the_rest_of_the_world_is_refused(self, door, address, code):
        with open_post_office(door, inbound="lmtp://127.0.0.1:1"), client(door) as sender:
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
                sender.sendmail("a@b.example", [address], b"Subject: x\r\n\r\n")
            assert refusal.value.recipients[address][1].startswith(code)

    def test_a_mail_that_never_comes_is_said(self, door):
        with (
            open_post_office(door, inbound="lmtp://127.0.0.1:1") as office,
            pytest.raises(TimeoutError, match="no mail to ann@"),
        ):
            office.wait_for("ann@post.example", seconds=0.05)

    def test_only_a_5xx_is_for_good(self):
        assert refused_for_good(smtplib.SMTPRecipientsRefused({"a": (550, b"no")}))
        assert refused_for_good(smtplib.SMTPDataError(554, "no"))
        assert not refused_for_good(smtplib.SMTPDataError(451, "later"))
        assert not refused_for_good(ConnectionRefusedError())


def client(door):
    return smtplib.SMTP("127.0.0.1", door.getsockname()[1], local_hostname="test.example", timeout=10)


class TestMailroom:
    def test_it_shows_mail_as_text_with_links_and_nothing_else(self):
        raw = "Subject: =?utf-8?q?=3Cb=3EÉ?=\r\n\r\nhttps://a.example/?x=1&y=2 <script>alert(1)</script>\r\n"
        mails = [Received("a@b.example", "<i>@post.example", raw.encode())]
        with open_mailroom(mails) as url:
            listed, shown = get(url), get(f"{url}0")
        assert "&lt;i&gt;@post.example" in listed
        assert "<b>" not in listed + shown
        assert "<script>" not in listed + shown
        assert '<a href="https://a.example/?x=1&amp;y=2" rel="noreferrer">' in shown

    @pytest.mark.parametrize("path", ["1", "-1", "²", "0/0", "99999999999999999999", "../etc/passwd"])
    def test_anything_else_is_404(self, path):
        with open_mailroom([]) as url, pytest.raises(urllib.error.HTTPError, match="404"):
            get(url + urllib.request.quote(path))

    def test_text_without_links_is_only_escaped(self):
        assert linked("a < b & “c”") == "a &lt; b &amp; “c”"


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.read().decode()


class TestHouse:
    def test_the_usual_port_else_a_free_one(self, monkeypatch, door):
        monkeypatch.setattr(house, "USUAL_PORT", door.getsockname()[1])
        with house.web_socket(None) as other:
            assert other.getsockname()[1] != door.getsockname()[1]

    def test_a_chosen_port_that_is_taken_is_told(self, door):
        with pytest.raises(house.PortTaken, match="--port"):
            house.web_socket(door.getsockname()[1])

    def test_nothing_of_the_shell_configures_it(self, monkeypatch, tmp_path):
        for name in (
            "MAIL_URL",
            "LETTERS_MAIL_URL",
            "DATABASE_URL",
            "CELERY_BROKER_URL",
            "GUNICORN_CMD_ARGS",
        ):
            monkeypatch.setenv(name, "smtp://relay.example.org")
        made = house.private_environment(tmp_path, "redis://here", {"web": 1, "mail": 2})
        assert "smtp://relay.example.org" not in made.values()
        assert (
            made["LETTERS_MAIL_URL"]
            == made["SUPPORTERS_MAIL_URL"]
            == made["MAIL_URL"]
            == "loopback://127.0.0.1:2"
        )

    def test_what_cannot_stay_up_is_told_with_its_last_words(self, tmp_path, door):
        one = house.House(tmp_path, dict(house.os.environ), door, door)
        one.start("worker", ["no_such_module_here"])
        one.members[0].process.wait(20)
        with pytest.raises(ServerFailed, match=r"“worker”(?s:.)*no_such_module_here"):
            one.look_after()
        one.close()


def test_forms_are_read_with_their_hidden_fields_and_boxes():
    reader = _Forms()
    reader.feed(
        '<form action="/x"><input type="hidden" name="started" value="a&amp;b"><input name="name">'
        '<input type="checkbox" name="asks" value="one"></form><form><input type="hidden" name="t"></form>'
    )
    first, second = reader.forms
    assert (first.action, first.values, first.boxes) == ("/x", {"started": "a&b"}, [("asks", "one")])
    assert second.values == {"t": ""}


def test_progress_and_sum_are_told_in_words():
    count = Count(signed=3, confirmed=2, out=1, replies={"auto_reply": 1})
    assert telling.progress_line(count) == (
        "signed 3 · confirmed 2 · letters out 1 · answers in 1 (1 automatic)"
    )
    verdict = judge(2, [LETTER, Posted("<m>", "JP", "held")], [], [])
    assert "2 selected = 1 accepted + 1 held" in telling.summary(verdict, 12.3)
    assert "Missing:  human_reply from BE" in telling.summary(verdict, 12.3)


def test_directions_name_every_ministry():
    text = telling.directions({"Site": "http://127.0.0.1:8000/"})
    assert "Site  http://127.0.0.1:8000/" in text
    assert all(country in text for country in MINISTRIES)


def test_answers_tell_apart():
    assert len({(answer.kind, answer.method) for _, answer in ANSWERS}) >= 7
    assert isinstance(ANSWER, Answer)
