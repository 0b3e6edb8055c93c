"""Kinds of mail told apart by the standards; what was said in them is kept as words."""

from email.message import EmailMessage

import pytest

from letters.rules.reading import MAX_HEADER, MAX_TEXT, Kind, Read, read

OURS = "<letter-42@un75.example>"


def mail(*headers: str, body: str = "We thank you for your letter.", encoding: str = "utf-8") -> bytes:
    """A plain message, with headers as given."""
    usual = ["From: Cabinet <cabinet@mfa.fr.example>", "To: r-abc@reply.example", "Subject: Re: your letter"]
    return "\r\n".join([*usual, *headers, "", body, ""]).encode(encoding)


def report(*fields: str, kind: str = "delivery-status", blocks: tuple[str, ...] = ()) -> bytes:
    """A report of RFC 6522 on one message of ours; a block of fields for each recipient."""
    chunks = ["Reporting-MTA: dns; mx.fr.example", *(("\r\n".join(fields),) if fields else ()), *blocks]
    return "\r\n".join(
        [
            "From: MAILER-DAEMON@mx.fr.example",
            "Subject: Undelivered",
            f"Content-Type: multipart/report; report-type={kind}; boundary=x",
            "",
            "--x",
            "",
            "Your message could not be delivered.",
            "--x",
            f"Content-Type: message/{kind}",
            "",
            "\r\n\r\n".join(chunks),
            "",
            "--x",
            "Content-Type: message/rfc822",
            "",
            f"Message-ID: {OURS}",
            "Subject: the letter",
            "",
            "Excellency,",
            "--x--",
            "",
        ]
    ).encode()


FAILED = ("Final-Recipient: rfc822; Cabinet@MFA.fr.example", "Action: failed")
OTHER = "Final-Recipient: rfc822; other@mfa.fr.example\r\nAction: {}\r\nStatus: {}"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (report(*FAILED, "Status: 5.1.1"), Kind.BOUNCE_HARD),
        (report(*FAILED, "Status: 5.1.1 (no such user)"), Kind.BOUNCE_HARD),
        (report(*FAILED, "Status: 5.7.1"), Kind.BOUNCE_HARD),
        (report(FAILED[0], "ACTION: Failed", "STATUS: 5.0.0"), Kind.BOUNCE_HARD),
        (report(*FAILED, "Status: 5.2.2"), Kind.BOUNCE_SOFT),  # the mailbox is full
        (report(*FAILED, "Status: 5.3.1"), Kind.BOUNCE_SOFT),  # the system is full
        (report(*FAILED, "Status: 4.4.7"), Kind.BOUNCE_SOFT),
        (report(*FAILED), Kind.BOUNCE_SOFT),  # not stated: never taken for hard
        (report(FAILED[0], "Action: delayed", "Status: 4.4.1"), Kind.BOUNCE_SOFT),
        (report(FAILED[0], "Action: delayed", "Status: 5.4.1"), Kind.BOUNCE_SOFT),
        (report(FAILED[0], "Action: delivered", "Status: 2.0.0"), Kind.OTHER),
        (report(FAILED[0], "Action: relayed", "Status: 2.0.0"), Kind.OTHER),
        (report(FAILED[0], "Action: expanded", "Status: 2.0.0"), Kind.OTHER),
        (report(*FAILED, "Status: 5.1.1", blocks=(OTHER.format("delivered", "2.0.0"),)), Kind.BOUNCE_HARD),
        (report(*FAILED, "Status: 5.2.2", blocks=(OTHER.format("failed", "5.1.1"),)), Kind.BOUNCE_HARD),
        (report(FAILED[0], "Action: relayed", blocks=(OTHER.format("delayed", "4.0.0"),)), Kind.BOUNCE_SOFT),
        (report(), Kind.BOUNCE_SOFT),
        (report("Feedback-Type: abuse", kind="feedback-report"), Kind.COMPLAINT),
        (report("Disposition: automatic-action; displayed", kind="disposition-notification"), Kind.OTHER),
    ],
)
def test_reports_are_told_apart_by_action_and_status(raw: bytes, kind: Kind) -> None:
    found = read(raw, envelope_from="")

    assert found.kind is kind
    assert found.reasons
    assert found.inner_references == [OURS]


def test_a_bounce_names_the_addresses_that_failed_and_why() -> None:
    found = read(report(*FAILED, "Status: 5.1.1", blocks=(OTHER.format("failed", "5.2.2"),)))

    assert found.addresses == ["cabinet@mfa.fr.example", "other@mfa.fr.example"]
    assert found.statuses == ["5.1.1", "5.2.2"]
    assert found.reasons == ["a delivery report: failed, status 5.1.1, 5.2.2 (RFC 3464)"]


def test_a_report_that_attaches_only_our_headers_still_names_our_message() -> None:
    raw = report(*FAILED, "Status: 5.1.1").replace(b"message/rfc822", b"text/rfc822-headers")

    assert OURS in read(raw).inner_references


AUTOMATIC = [
    "Auto-Submitted: auto-replied",
    "Auto-Submitted: auto-generated",
    "auto-submitted: AUTO-REPLIED; owner-email=x@y.example",
    "Auto-Submitted: (a comment) auto-replied",
    "X-Autoreply: yes",
    "X-Autorespond: away",
    "X-Auto-Reply: 1",
    "X-AutoResponder: Ministry 2.0",
    "Precedence: auto_reply",
    "Precedence: bulk",
    "Precedence: junk",
    "Return-Path: <>",
]
HUMAN = [
    "Auto-Submitted: no",
    "Auto-Submitted: No; because=of-this",
    "X-Autoreply: no",
    "Precedence: normal",
    "Precedence: first-class",
    "Return-Path: <cabinet@mfa.fr.example>",
    "X-Auto-Response-Suppress: All",  # Exchange puts it on people's mail too
    "Precedence: list\r\nList-Id: <cabinet.mfa.fr.example>",
]


@pytest.mark.parametrize("header", AUTOMATIC)
def test_an_automatic_answer_says_so_in_its_headers(header: str) -> None:
    found = read(mail(header), envelope_from="x@y.example")

    assert found.kind is Kind.AUTO_REPLY
    assert len(found.reasons) == 1


@pytest.mark.parametrize("header", HUMAN)
@pytest.mark.parametrize("envelope_from", [None, "cabinet@mfa.fr.example"])
def test_what_shows_no_sign_of_a_machine_was_written_by_a_person(
    header: str, envelope_from: str | None
) -> None:
    assert read(mail(header), envelope_from=envelope_from).kind is Kind.HUMAN_REPLY


def test_an_empty_envelope_sender_is_a_machines_and_an_unknown_one_is_nobodys() -> None:
    assert read(mail(), envelope_from="").kind is Kind.AUTO_REPLY
    assert read(mail(), envelope_from=None).kind is Kind.HUMAN_REPLY


@pytest.mark.parametrize("body", ["", " \r\n\t\r\n"])
def test_a_mail_that_says_nothing_is_no_reply(body: str) -> None:
    assert read(mail(body=body)).kind is Kind.OTHER


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        ("=?utf-8?q?R=C3=A9ponse?=", "Réponse"),
        ("=?UTF-8?B?UsOpcG9uc2U=?= du cabinet", "Réponse du cabinet"),
        ("=?iso-8859-1?q?R=E9ponse?= =?iso-8859-1?q?_officielle?=", "Réponse officielle"),
        ("Réponse", "Réponse"),  # RFC 6532
        ("folded\r\n over\r\n\tlines", "folded over lines"),
        ("=?utf-8?q?a=0D=0ABcc=3A_x=40evil=2Eexample?=", "a Bcc: x@evil.example"),
        ("=?utf-8?q?a=E2=80=A8b=00c?=", "a b c"),
        ("=?klingon?q?R=E9ponse?=", "=?klingon?q?R=E9ponse?="),
        ("=?utf-8?b?not base64!?=", "=?utf-8?b?not base64!?="),
        ("x" * 5_000, "x" * MAX_HEADER),
    ],
)
def test_a_subject_is_decoded_onto_one_line(header: str, subject: str) -> None:
    assert read(f"Subject: {header}\r\n\r\nHello".encode()).subject == subject


def test_a_subject_in_an_undeclared_old_encoding_is_still_legible() -> None:
    assert read("Subject: Réponse\r\n\r\nBonjour".encode("latin-1")).subject == "Réponse"


def test_recipients_and_threads_are_taken_from_all_their_headers() -> None:
    found = read(
        mail(
            "Cc: =?utf-8?q?Dupont=2C_Jean_=5BParis=5D?= <R-XYZ@reply.example>, not-an-address",
            "Delivered-To: inbox@reply.example",
            "Message-ID: <answer@mfa.fr.example>",
            f"In-Reply-To: Your message {OURS}",
            f"References: <first@x.example>\r\n {OURS} <last@x.example> broken>",
        )
    )

    assert found.recipients == ["r-abc@reply.example", "r-xyz@reply.example", "inbox@reply.example"]
    assert found.references == [OURS, "<first@x.example>", "<last@x.example>"]
    assert (found.message_id, found.sender) == ("<answer@mfa.fr.example>", "Cabinet <cabinet@mfa.fr.example>")


def test_an_encoded_display_name_is_no_address() -> None:
    raw = b"To: =?utf-8?q?r-evil=40reply=2Eexample=2C?= <box@reply.example>\r\n\r\nHello"

    assert read(raw).recipients == ["box@reply.example"]


def multipart(*parts: tuple[str, str], kind: str = "mixed") -> Read:
    """Reads a message of parts: (headers, body)."""
    chunks = "".join(f"--x\r\n{headers}\r\n\r\n{body}\r\n" for headers, body in parts)
    return read(f"Content-Type: multipart/{kind}; boundary=x\r\n\r\n{chunks}--x--\r\n".encode())


def test_the_plain_part_is_preferred_to_html() -> None:
    found = multipart(
        ("Content-Type: text/plain", "in words"),
        ("Content-Type: text/html", "<p>in colour"),
        kind="alternative",
    )

    assert (found.text, found.kind) == ("in words", Kind.HUMAN_REPLY)


def test_html_alone_is_reduced_to_its_words() -> None:
    assert multipart(("Content-Type: text/html", "<p>Dear <b>Amélie</b>,")).text == "Dear Amélie,"


def test_a_real_letter_with_an_attachment_is_a_reply() -> None:
    message = EmailMessage()
    message.set_content("Voir pièce jointe.")
    message.add_attachment(
        b"%PDF-1.7", maintype="application", subtype="pdf", filename="réponse officielle.pdf"
    )

    found = read(message.as_bytes())

    assert (found.text, found.kind) == ("Voir pièce jointe.", Kind.HUMAN_REPLY)
    assert found.attachments == [{"name": "réponse officielle.pdf", "type": "application/pdf", "size": 8}]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\\\temp\\\\letter.pdf"', "letter.pdf"),
        ("filename*=utf-8''..%2F..%2Fr%C3%A9ponse.pdf", "réponse.pdf"),
        ("filename*=utf-8''a%00b%0Ac%E2%80%AEd", "a_b_c_d"),
        ("filename*=nonsense''%FF%FE", "ÿþ"),
        ('filename="/"', ""),
        (f'filename="{"x" * 500}.pdf"', "x" * 120),
    ],
)
def test_an_attachments_name_is_only_a_name(filename: str, name: str) -> None:
    found = multipart((f"Content-Disposition: attachment; {filename}", "data"))

    assert [attachment["name"] for attachment in found.attachments] == [name]


def test_long_words_are_cut_and_nulls_removed() -> None:
    found = read(mail(body="a\0b" + "x" * (MAX_TEXT + 5)))

    assert len(found.text) == MAX_TEXT
    assert found.text.startswith("abx")
