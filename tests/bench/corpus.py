"""A campaign with N confirmed letters in the database of this process, every name and every note different.

The letters are made, or taken over from another database's tables, in SQL: what is measured is sending.
"""

import json
import random
from collections.abc import Iterable, Iterator

import psycopg
from django.db import connection

from contacts.loading import load_world
from contacts.models import Country
from letters.loading import DATA, load_campaign
from letters.models import Campaign, Text

ASKS = ("speeches", "fund", "attend", "inclusion", "rules")
FIRST = [
    "Amélie",
    "Zoë",
    "José",
    "Björn",
    "Łukasz",
    "Şule",
    "Nguyễn",
    "Inés",
    "Đorđe",
    "Ольга",
    "Γιώργος",
    "美咲",
    "محمد",
    "Aoife",
    "Thandiwe",
]
LAST = [
    "Müller",
    "García",
    "Ødegård",
    "Yılmaz",
    "Trần",
    "O'Brien",
    "Ångström",
    "Петрова",
    "Παπαδοπούλου",
    "佐藤",
    "الحسن",
    "Lefèvre",
]
WORDS = [
    "nous",
    "vous",
    "écrivons",
    "parce",
    "que",
    "l’école",
    "学校",
    "of",
    "our",
    "town",
    "croit",
    "aux",
    "règles",
    "común",
    "and",
    "to",
    "la",
    "paix",
    "for",
    "all",
]
OFFICES = 193
LAB_QUERY = """
    COPY (SELECT l.id, s.first || ' ' || s.last, s.email, l.contact_id, c.email, l.asks, l.note
          FROM letter l JOIN supporter s ON s.id = l.supporter_id JOIN contact c ON c.id = l.contact_id)
    TO STDOUT
"""
STAGING = """
    CREATE TABLE bench_corpus (
        id bigint, name text, email text, contact int, office_email text, asks text, note text)
"""
OFFICES_SQL = """
    UPDATE contacts_office o SET email = b.office_email, address_key = b.office_email, state = 'open',
           source_url = 'https://www.mfa.example/contact', checked_on = CURRENT_DATE
    FROM (SELECT DISTINCT contact, office_email FROM bench_corpus) b
    JOIN bench_office m ON m.contact = b.contact WHERE o.id = m.office
"""
SUPPORTERS_SQL = """
    INSERT INTO contacts_supporter (email, address_key, name, language, city, organisation)
    SELECT email, email, min(name), 'fr', '', '' FROM bench_corpus GROUP BY email
"""
CONSENTS_SQL = """
    INSERT INTO contacts_consent (supporter_id, purpose, act, wording, language)
    SELECT id, %s, 'given', 'I agree.', 'fr' FROM contacts_supporter
"""
LETTERS_SQL = """
    INSERT INTO letters_letter (
        id, round, state, signer_name, signer_email, address_key, home, city, organisation, include_email,
        show_name, own_words, reading_language, consent_wording, news, language, courtesy, asks,
        reply_token, reference,
        confirmed_at, campaign_id, country_id, office_id, supporter_id, text_id, footer_id)
    SELECT b.id, 1, 'confirmed', b.name, b.email, b.email, 'France', '', '', false, false,
        b.note, 'fr', 'I agree.', '{}', t.language, t.courtesy,
        (SELECT jsonb_object_agg(a, (t.asks ->> a)::bigint) FROM unnest(string_to_array(b.asks, ',')) a),
        translate(lpad(to_hex(b.id), 12, 'g'), '01', 'hj') || '2',
        'UN75-' || t.country || '-' || upper(to_hex(b.id)), now(), %s, t.country, t.office, s.id, t.text,
        t.footer
    FROM bench_corpus b
    JOIN bench_office t ON t.contact = b.contact
    JOIN contacts_supporter s ON s.email = b.email
"""


def fill(rows: Iterable[tuple[object, ...]] | None, *, lab: str = "") -> Campaign:
    """Makes the campaign and its letters, of `rows` or of the lab's tables at a DSN; gives the campaign."""
    load_world()
    campaign = load_campaign(DATA / "un2020", slug="bench", rehearsal=True)
    Text.objects.filter(campaign=campaign).update(state=Text.State.APPROVED)
    Campaign.objects.update(per_office_hour=10_000_000, office_hours=False)
    with connection.cursor() as cursor:
        # Real campaigns let a person write once to an office; this corpus repeats people at a million.
        cursor.execute("DROP INDEX IF EXISTS one_letter_a_supporter_and_office")
        cursor.execute(STAGING)
        if lab:
            with (
                psycopg.connect(lab) as source,
                source.cursor().copy(LAB_QUERY) as out,
                cursor.copy("COPY bench_corpus FROM STDIN") as into,
            ):
                for block in out:
                    into.write(block)
        else:
            with cursor.copy("COPY bench_corpus FROM STDIN") as into:
                for row in rows or ():
                    into.write_row(row)
        _offices(cursor, campaign)
        cursor.execute(OFFICES_SQL)
        cursor.execute(SUPPORTERS_SQL)
        cursor.execute(CONSENTS_SQL, [f"letter:{campaign.slug}"])
        cursor.execute(LETTERS_SQL, [campaign.pk])
        cursor.execute("SELECT setval('letters_letter_id_seq', (SELECT max(id) FROM letters_letter))")
        cursor.execute("VACUUM ANALYZE")
    campaign.refresh_from_db()
    return campaign


def unique(count: int, seed: int = 2020) -> Iterator[tuple[object, ...]]:
    """Letters that repeat no name and no note: id, name, email, contact, its email, asks, note."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        name = f"{chance.choice(FIRST)} {chance.choice(LAST)}-{number:x}"
        contact = chance.randint(1, OFFICES)
        asks = ",".join(sorted(chance.sample(ASKS, chance.randint(2, 5))))
        note = " ".join(chance.choices(WORDS, k=chance.randint(35, 85))) + f" ({number})"
        person = f"supporter{number % 100_000}@people{number % 31}.example"
        yield number, name, person, contact, f"minister{contact}@mfa{contact % 97}.example", asks, note


def _offices(cursor: object, campaign: Campaign) -> None:
    """Which ministry stands for which contact, and the texts that its letters are made of."""
    texts = {(text.kind, text.key, text.language): text.pk for text in campaign.texts.all()}
    cursor.execute(
        "CREATE TABLE bench_office (contact int PRIMARY KEY, country text, office bigint, language text,"
        " courtesy bool, text bigint, footer bigint, asks jsonb)"
    )
    Country.objects.update(enabled=True)
    countries = list(Country.objects.filter(status="member").order_by("code"))[:OFFICES]
    for contact, country in enumerate(countries, start=1):
        language = next((one for one in country.languages if (Text.Kind.LETTER, "", one) in texts), "en")
        office = country.offices.get(kind="ministry", label="")
        asks = {key: texts[Text.Kind.ASK, key, language] for key in ASKS}
        cursor.execute(
            "INSERT INTO bench_office VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                contact, country.code, office.pk, language, language not in country.languages,
                texts[Text.Kind.LETTER, "", language], texts.get((Text.Kind.FOOTER, "", language)),
                json.dumps(asks),
            ],
        )  # fmt: skip
