"""Addresses: one spelling kept, two spellings known for one mailbox, everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.addresses import (
    MAX_LENGTH,
    AddressError,
    address_key,
    domain_of,
    envelope,
    mask,
    normalise,
)

WORDS = st.text("abcxyzABCXYZ0189éüßñдж中", min_size=1, max_size=12)
LOCALS = st.lists(WORDS, min_size=1, max_size=3).map(".".join)
DOMAINS = st.builds(
    "{}.{}".format, st.text("abcxyzABCéü中", min_size=1, max_size=12), st.sampled_from(["example", "com"])
)
ADDRESSES = st.builds("{}@{}".format, LOCALS, DOMAINS)
# Everything that could upset a parser, in no order.
HOSTILE = st.text(
    st.sampled_from(list("aA1.+-_@@@\"'<>()[]\\,;: \t\r\n\0\x85\u2028\u202e\u200d\ud800ﷺ＠．。½İßﬁé中")),
    max_size=24,
)


def survives(address: str) -> str | None:
    """The normalised address, or None where it is refused; no other way out."""
    try:
        return normalise(address)
    except AddressError:
        return None


@pytest.mark.parametrize(
    ("typed", "stored", "written_to", "key"),
    [
        ("amelie@people.example", "amelie@people.example", "amelie@people.example", "amelie@people.example"),
        (" Amelie@X.Example ", "Amelie@x.example", "Amelie@x.example", "amelie@x.example"),
        ("a+un2020@people.example", "a+un2020@people.example", "a+un2020@people.example", "a@people.example"),
        ("+x@people.example", "+x@people.example", "+x@people.example", "+x@people.example"),
        ("A.B.C+x@Gmail.com", "A.B.C+x@gmail.com", "A.B.C+x@gmail.com", "abc@gmail.com"),
        ("abc@googlemail.com", "abc@googlemail.com", "abc@googlemail.com", "abc@gmail.com"),
        ("a.b@people.example", "a.b@people.example", "a.b@people.example", "a.b@people.example"),
        (
            "info@BÜCHER.example", "info@bücher.example", "info@xn--bcher-kva.example",
            "info@xn--bcher-kva.example",
        ),
        (
            "info@xn--bcher-kva.example", "info@bücher.example", "info@xn--bcher-kva.example",
            "info@xn--bcher-kva.example",
        ),
        (
            "büro@外交部.example", "büro@外交部.example", "büro@xn--tlq87w5j9b.example",
            "büro@xn--tlq87w5j9b.example",
        ),
        ("jose\u0301@people.example", "josé@people.example", "josé@people.example", "josé@people.example"),
    ],
)  # fmt: skip
def test_an_address_is_kept_written_to_and_compared(
    typed: str, stored: str, written_to: str, key: str
) -> None:
    assert (normalise(typed), envelope(typed), address_key(typed)) == (stored, written_to, key)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "amelie",
        "@people.example",
        "amelie@",
        "amelie@localhost",
        "amelie@[127.0.0.1]",
        "amelie@@people.example",
        "amelie dupont@people.example",
        '"amelie dupont"@people.example',
        "amelie@people..example",
        ".amelie@people.example",
        "amelie@people.example.",
        "amelie@-people.example",
        "amelie@people.example, mallory@evil.example",
        "Amélie <amelie@people.example>",
        "amelie@people.example\r\nBcc: mallory@evil.example",
        "amelie@people.example\n",
        "\tamelie@people.example",
        "amelie\0@people.example",
        "amelie\u2028@people.example",
        "amelie\x85@people.example",
        "\u202eamelie@people.example",
        "ame\u200dlie@people.example",
        "amelie\ud800@people.example",
        "amelie＠people.example",
        f"{'a' * 65}@people.example",
        f"amelie@{'a' * 64}.example",
        f"amelie@{'.'.join(['a' * 60] * 5)}.example",
        f"amelie@{'.'.join(['ü' * 40] * 5)}.example",
        f"{'ﷺ' * 21}@people.example",  # 63 octets as typed, hundreds when folded
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused_with_a_reason(typed: str) -> None:
    for verb in (normalise, envelope, address_key):
        with pytest.raises(AddressError) as refusal:
            verb(typed)
        assert str(refusal.value)


def test_a_domain_with_a_sharp_s_is_not_its_neighbour() -> None:
    """IDNA 2003 would send letters for straße.de to strasse.de, which belongs to somebody else."""
    assert envelope("info@straße.de") == "info@xn--strae-oqa.de"
    assert address_key("info@straße.de") != address_key("info@strasse.de")


@given(ADDRESSES)
def test_normalising_twice_is_normalising_once(typed: str) -> None:
    once = normalise(typed)

    assert normalise(once) == once
    assert normalise(envelope(typed)) == once


@given(ADDRESSES)
def test_a_domain_goes_into_ascii_and_back(typed: str) -> None:
    assert envelope(typed).rpartition("@")[2].isascii()
    assert domain_of(typed) == envelope(typed).rpartition("@")[2] == address_key(typed).rpartition("@")[2]


@given(st.text("abcxyz019éüñдж", min_size=1, max_size=20), st.text("abc019-_", max_size=12))
def test_tags_and_letter_case_make_no_other_mailbox(local: str, tag: str) -> None:
    key = address_key(f"{local}@people.example")

    assert address_key(f"{local.upper()}@PEOPLE.example") == key
    assert address_key(f"{local}+{tag}@people.example") == key


@given(st.lists(st.text("abc019", min_size=1, max_size=4), min_size=1, max_size=5))
def test_dots_make_no_other_mailbox_at_gmail_and_another_one_elsewhere(words: list[str]) -> None:
    dotted, plain = ".".join(words), "".join(words)

    assert address_key(f"{dotted}@gmail.com") == address_key(f"{plain}@googlemail.com")
    assert (address_key(f"{dotted}@people.example") == address_key(f"{plain}@people.example")) is (
        dotted == plain
    )


@given(st.one_of(HOSTILE, st.text(), st.builds("{}@{}.example".format, HOSTILE, HOSTILE)))
def test_whatever_is_typed_becomes_a_clean_address_or_an_address_error(typed: str) -> None:
    stored = survives(typed)
    mask(typed)
    domain_of(typed)
    if stored is None:
        for verb in (envelope, address_key):
            with pytest.raises(AddressError):
                verb(typed)
        return
    for text in (stored, envelope(typed), address_key(typed)):
        assert len(text.splitlines()) == 1
        assert not set(text) & set("\r\n\0\t\u2028\u2029\x85")
        assert len(text.encode()) <= MAX_LENGTH


@pytest.mark.parametrize("length", [10, 100, 1_000, 1_000_000])
@pytest.mark.parametrize("letter", ["a", "é", "İ", "ﷺ", "@", ".", "+", '"'])
def test_long_addresses_are_refused_or_fit(letter: str, length: int) -> None:
    stored = survives(f"{letter * length}@people.example") or ""

    assert len(stored.encode()) <= MAX_LENGTH
    assert survives(f"amelie@{letter * length}.example") is None or length == 10


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("amelie@people.example", "a…@people.example"),
        ("a@b@people.example", "a…@people.example"),
        ("@people.example", "…@people.example"),
        ("amelie", "…"),
        ("", "…"),
    ],
)
def test_a_masked_address_shows_its_first_letter_and_its_domain(address: str, shown: str) -> None:
    assert mask(address) == shown


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@People.EXAMPLE", "people.example"),
        ("a@bücher.example", "xn--bcher-kva.example"),
        ("a@b@people.example", "people.example"),
        ("people.example", "people.example"),
        ("", ""),
        ("a@", ""),
        ("a@ü..example", "ü..example"),
    ],
)
def test_the_domain_of_an_address(address: str, domain: str) -> None:
    assert domain_of(address) == domain
