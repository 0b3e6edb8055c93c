"""Every clue to a letter is found, surest first, with the place where it stood."""

import random

import pytest

from letters.rules import tokens
from letters.rules.matching import CONFIDENCE, Clue, Pointer, pointers
from letters.rules.reading import Kind, Read

DOMAIN, KEY = "reply.example", b"a key that only we have"
TOKEN, OTHER = (tokens.new_reply_token(random.Random(seed).choice) for seed in (1, 2))
REPLY, OTHER_REPLY = (tokens.reply_address(token, DOMAIN) for token in (TOKEN, OTHER))
BOUNCE = tokens.bounce_address(42, KEY, DOMAIN)


def clues(*envelope_to: str, **mail: object) -> list[tuple[Clue, str]]:
    """What points where, without the explanations."""
    return [(pointer.clue, pointer.value) for pointer in found(*envelope_to, **mail)]


def found(*envelope_to: str, **mail: object) -> list[Pointer]:
    read = Read(kind=Kind.HUMAN_REPLY, reasons=[], **mail)
    return pointers(read, envelope_to=list(envelope_to), domain=DOMAIN, key=KEY)


def test_a_mail_without_clues_points_nowhere() -> None:
    assert (
        found("info@reply.example", subject="Hello", text="Good morning.", recipients=["x@y.example"]) == []
    )


def test_the_surest_clue_comes_first_wherever_it_stands() -> None:
    assert clues(
        REPLY,
        recipients=[OTHER_REPLY, BOUNCE],
        references=["<thread@us.example>"],
        inner_references=["<inner@us.example>"],
        subject="Re: UN75-FR-7K3M",
        text="Your letter UN75-FR-ABCD",
    ) == [
        (Clue.BOUNCE, "42"),
        (Clue.TOKEN, TOKEN),
        (Clue.TOKEN, OTHER),
        (Clue.THREAD, "<thread@us.example>"),
        (Clue.THREAD, "<inner@us.example>"),
        (Clue.REFERENCE, "UN75-FR-7K3M"),
        (Clue.REFERENCE, "UN75-FR-ABCD"),
    ]


def test_the_surer_the_clue_the_higher_its_confidence() -> None:
    ranked = sorted(CONFIDENCE, key=CONFIDENCE.__getitem__, reverse=True)

    assert ranked == [Clue.BOUNCE, Clue.TOKEN, Clue.THREAD, Clue.REFERENCE]
    assert set(CONFIDENCE) == set(Clue)


@pytest.mark.parametrize(
    "forged",
    [
        "b-16-00000000000000000000@reply.example",
        tokens.bounce_address(42, b"another key", DOMAIN),
        BOUNCE.replace("b-16-", "b-17-"),
        BOUNCE.replace(DOMAIN, "elsewhere.example"),
        f"x{BOUNCE}",
    ],
)
def test_a_forged_bounce_address_points_nowhere(forged: str) -> None:
    assert BOUNCE.startswith("b-16-")
    assert clues(forged, recipients=[forged]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        REPLY.replace(DOMAIN, "elsewhere.example"),
        REPLY.replace(TOKEN[-1] + "@", ("2" if TOKEN[-1] != "2" else "3") + "@"),
        TOKEN,
    ],
)
def test_a_mistyped_or_foreign_reply_address_points_nowhere(wrong: str) -> None:
    assert clues(wrong, recipients=[wrong]) == []


def test_an_answer_to_several_letters_points_at_each() -> None:
    assert clues(REPLY, OTHER_REPLY) == [(Clue.TOKEN, TOKEN), (Clue.TOKEN, OTHER)]


def test_an_address_is_recognised_in_any_letter_case() -> None:
    assert clues(REPLY.upper(), BOUNCE.upper()) == [(Clue.BOUNCE, "42"), (Clue.TOKEN, TOKEN)]


def test_each_pointer_says_where_it_stood_and_stands_once() -> None:
    explained = [
        pointer.where
        for pointer in found(
            REPLY,
            REPLY,
            recipients=[REPLY, REPLY],
            references=["<a@us.example>", "<a@us.example>"],
            text="UN75-FR-7K3M un75-fr-7k3m",
        )
    ]

    assert explained == [
        "the envelope recipient is the letter's reply address",
        "a recipient header is the letter's reply address",
        "In-Reply-To or References names our message",
        "it quotes UN75-FR-7K3M",
    ]
