"""Tokens find their way back through people's hands; forged ones lead nowhere."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from letters.rules import tokens
from letters.rules.tokens import ALPHABET, TOKEN_SYMBOLS

DOMAIN, KEY = "reply.example", b"a key that only we have"
SYMBOLS = st.text(ALPHABET, min_size=TOKEN_SYMBOLS, max_size=TOKEN_SYMBOLS)
TOKENS = SYMBOLS.map(lambda symbols: symbols + tokens.check_symbol(symbols))
NUMBERS = st.integers(0, 2**63 - 1)


def new_token(seed: int) -> str:
    return tokens.new_reply_token(random.Random(seed).choice)


@given(TOKENS, st.integers(0, TOKEN_SYMBOLS), st.sampled_from(ALPHABET))
def test_one_wrong_symbol_is_noticed(token: str, place: int, symbol: str) -> None:
    assume(token[place] != symbol)

    assert tokens.valid_reply_token(token)
    assert not tokens.valid_reply_token(token[:place] + symbol + token[place + 1 :])


@given(TOKENS, st.integers(0, TOKEN_SYMBOLS - 1))
def test_two_swapped_neighbours_are_noticed(token: str, place: int) -> None:
    swapped = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    assume(swapped != token)

    assert not tokens.valid_reply_token(swapped)


def test_a_new_token_is_valid_and_made_of_chosen_symbols() -> None:
    made = {new_token(seed) for seed in range(200)}

    assert len(made) == 200
    assert all(tokens.valid_reply_token(token) for token in made)
    assert not set("".join(made)) & set("01ilo")


@given(st.one_of(st.text(), st.text(ALPHABET, max_size=20)))
def test_anything_else_is_no_token(text: str) -> None:
    if tokens.valid_reply_token(text):
        assert len(text) == TOKEN_SYMBOLS + 1
        assert tokens.check_symbol(text[:-1]) == text[-1]


@given(TOKENS, st.booleans())
def test_an_answers_address_leads_back_in_any_letter_case(token: str, upper: bool) -> None:
    address = tokens.reply_address(token, DOMAIN)

    assert tokens.reply_token_in(address.upper() if upper else f" {address}\t", DOMAIN) == token


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "r-",
        "r-@reply.example",
        f"{new_token(1)}@reply.example",
        f"r-{new_token(1)}",
        f"r-{new_token(1)}@elsewhere.example",
        f"r-{new_token(1)}@sub.reply.example",
        f"r-{new_token(1)}@reply.example@elsewhere.example",
        f"xr-{new_token(1)}@reply.example",
        f"r-{new_token(1)}x@reply.example",
        f"r-{new_token(1)[:-1]}@reply.example",
        f"r-{new_token(1)}+tag@reply.example",
    ],
)
def test_any_other_address_holds_no_token(address: str) -> None:
    assert tokens.reply_token_in(address, DOMAIN) is None


@given(NUMBERS, st.booleans())
def test_a_bounce_address_leads_back_to_its_delivery(number: int, upper: bool) -> None:
    address = tokens.bounce_address(number, KEY, DOMAIN)

    assert tokens.delivery_in(address.upper() if upper else address, KEY, DOMAIN) == number
    assert len(address.partition("@")[0]) <= 64
    assert tokens.reply_token_in(address, DOMAIN) is None


@given(NUMBERS, NUMBERS, st.text("0123456789abcdef", min_size=20, max_size=20))
def test_a_forged_or_changed_bounce_address_stands_for_nothing(number: int, other: int, check: str) -> None:
    local = tokens.bounce_address(number, KEY, DOMAIN).partition("@")[0]
    prefix, digits, genuine = local.split("-")
    assume(other != number)
    assume(check != genuine)
    others_digits = tokens.bounce_address(other, KEY, DOMAIN).split("-")[1]

    for forged in (
        f"{prefix}-{digits}-{check}@{DOMAIN}",
        f"{prefix}-{others_digits}-{genuine}@{DOMAIN}",
        f"{prefix}-{digits}-{genuine[:-1]}@{DOMAIN}",
        f"{prefix}-{digits}-{genuine}0@{DOMAIN}",
        f"{prefix}-{digits}-{genuine}@elsewhere.example",
        tokens.bounce_address(number, b"another key", DOMAIN),
    ):
        assert tokens.delivery_in(forged, KEY, DOMAIN) is None


def test_a_number_too_large_for_a_row_stands_for_nothing() -> None:
    assert tokens.delivery_in(tokens.bounce_address(2**63, KEY, DOMAIN), KEY, DOMAIN) is None


@given(st.text())
def test_any_text_is_looked_at_without_harm(text: str) -> None:
    for address in (text, f"{text}@{DOMAIN}", f"r-{text}@{DOMAIN}", f"b-{text}@{DOMAIN}"):
        assert tokens.delivery_in(address, KEY, DOMAIN) is None
        found = tokens.reply_token_in(address, DOMAIN)
        assert found is None or tokens.valid_reply_token(found)
    tokens.references_in(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Our reference: UN75-FR-7K3M.", ["UN75-FR-7K3M"]),
        ("votre lettre un75-fr-7k3m du 3 mai", ["UN75-FR-7K3M"]),
        ("RE: [UN75-FR-7K3M] and (PEACE-DE-ABCDEFGH)", ["UN75-FR-7K3M", "PEACE-DE-ABCDEFGH"]),
        ("UN75-FR-7K3M, again UN75-FR-7K3M", ["UN75-FR-7K3M"]),
        ("UN75-FR-7K3", []),
        ("UN75-FR-7K3MMMMMM", []),
        ("UN75-FR-7K3O", []),  # no letter O in references
        ("XUN75_FR_7K3M", []),
        ("A-FR-7K3M", []),
        ("", []),
    ],
)
def test_references_are_found_where_people_quote_them(text: str, found: list[str]) -> None:
    assert tokens.references_in(text) == found


@given(st.integers(0, 10_000), st.text(max_size=20), st.text(max_size=20))
def test_a_new_reference_is_found_again(seed: int, before: str, after: str) -> None:
    reference = tokens.new_reference("UN75", "FR", random.Random(seed).choice)

    assert reference in tokens.references_in(f"{before} {reference} {after}")
