"""Signing, confirming, refusing, withdrawing a letter. Writes rows only: works while the broker is down."""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from contacts import consent
from contacts.addresses import address_key
from contacts.models import Country, Office, Supporter, Suppression
from letters import composing, outbox
from letters.models import Campaign, Delivery, Letter
from letters.models.campaign import Tally
from letters.rules import tokens
from letters.rules.ledger import MAY_HAVE_LEFT, STOPPABLE, State

FORGET_AFTER = timedelta(days=7)
BRAKE_WINDOW = timedelta(hours=24)
PER_WINDOW = 1  # confirmation mails to one mailbox
PER_CAMPAIGN = 2
PENDING_AT_MOST = 5  # unconfirmed letters kept for one mailbox; strangers can type any address
TYPED = (  # words of a letter that are forgotten when it is refused
    "signer_name", "signer_email", "address_key", "home", "city",
    "organisation", "own_words", "consent_wording",
)  # fmt: skip
SAME_WITHIN = timedelta(minutes=30)  # the same form sent twice is one letter


class Closed(Exception):
    """The campaign takes no sign-ups now."""


class NoSuchAsk(ValueError):
    """An ask that this campaign does not put to this State."""


class Gone(Exception):
    """The letter can no longer be confirmed, refused or withdrawn; its state says why."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(letter.state)
        self.letter = letter


class AlreadySent(Exception):
    """The letter is on its way, or there: it cannot be withdrawn any more."""


@dataclass(frozen=True)
class Signer:
    """What a person typed, already validated: name, address, and choices."""

    name: str
    email: str
    reading_language: str
    consent_wording: str
    lives_in: Country | None = None
    city: str = ""
    organisation: str = ""
    include_email: bool = False
    show_name: bool = False
    news: dict[str, str] = field(default_factory=dict)


def draft(campaign: Campaign, office: Office, asks: list[str], *, own_words: str, signer: Signer) -> Letter:
    """The letter that a form describes, not stored: for previews, and for `sign` to store.

    Raises NoSuchAsk for an ask not put to this State, NoText when there is no approved letter.
    """
    texts = composing.texts_for(campaign, office)
    if unknown := [key for key in asks if key not in texts.asks]:
        raise NoSuchAsk(", ".join(unknown))
    return Letter(
        campaign=campaign,
        round=campaign.round,
        office=office,
        country=office.country,
        signer_name=signer.name,
        signer_email=signer.email,
        address_key=address_key(signer.email) if signer.email else "",
        lives_in=signer.lives_in,
        home=composing.home_of(signer.lives_in, texts.language),
        city=signer.city,
        organisation=signer.organisation,
        include_email=signer.include_email,
        show_name=signer.show_name,
        own_words=own_words,
        reading_language=signer.reading_language,
        consent_wording=signer.consent_wording,
        news=signer.news,
        language=texts.language,
        courtesy=texts.courtesy,
        text=texts.letter,
        footer=texts.footer,
        asks={key: texts.asks[key].pk for key in asks},
        created_at=timezone.now(),
    )


def sign(
    campaign: Campaign, office: Office, asks: list[str], *, own_words: str, signer: Signer
) -> Letter | None:
    """Stores a letter that waits for confirmation and posts the confirmation mail, within the brakes.

    None when nothing was stored: the address asked not to be written to, or has too many letters
    waiting. Callers answer the same in every case, so that nobody can probe addresses.
    Raises Closed, NoSuchAsk, NoText.
    """
    if not campaign.takes_letters(timezone.now().date()):
        raise Closed(campaign.slug)
    letter = draft(campaign, office, asks, own_words=own_words, signer=signer)
    composing.form_of(letter, today=letter.created_at.date())  # what cannot be composed is not signed
    with transaction.atomic():
        _one_at_a_time(letter.address_key)
        pending = Letter.objects.filter(address_key=letter.address_key, state=Letter.State.UNCONFIRMED)
        if twin := _same(letter, pending):
            return twin
        if pending.count() >= PENDING_AT_MOST or _unwelcome(letter):
            return None
        _save_numbered(letter)
        if _may_write_to(letter):
            outbox.put(Delivery.Kind.CONFIRMATION, letter=letter, recipient=letter.signer_email)
    return letter


def confirm(number: int) -> Letter:
    """Confirms a letter: the supporter, their consent, the place in the count; posts it if sending runs.

    May happen twice: the second time changes nothing. Raises Gone when it was refused or withdrawn,
    Letter.DoesNotExist when it is no longer there.
    """
    with transaction.atomic():
        letter = Letter.objects.select_for_update(of=("self",)).select_related("campaign").get(pk=number)
        if letter.state == Letter.State.CONFIRMED:
            return letter
        if letter.state != Letter.State.UNCONFIRMED:
            raise Gone(letter)
        # Locked before `sending` is read: a launch at this moment sees the letter, or we see the launch.
        campaign = Campaign.objects.select_for_update(no_key=True).get(pk=letter.campaign_id)
        if campaign.sending in {Campaign.Sending.FINISHED, Campaign.Sending.CANCELLED}:
            raise Closed(campaign.slug)
        supporter = _supporter(letter)
        _record_consent(letter, supporter)
        if earlier := _earlier(letter, supporter):
            letter.supporter, letter.state = supporter, Letter.State.MERGED
            letter.save(update_fields=["supporter", "state"])
            return earlier
        tally, _ = Tally.objects.select_for_update().get_or_create(
            campaign=letter.campaign, country=letter.country
        )
        Tally.objects.filter(pk=tally.pk).update(signed=F("signed") + 1, numbered=F("numbered") + 1)
        letter.supporter, letter.state = supporter, Letter.State.CONFIRMED
        letter.number, letter.confirmed_at = tally.numbered + 1, Now()
        letter.save(update_fields=["supporter", "state", "number", "confirmed_at"])
        if campaign.sending == Campaign.Sending.RUNNING:
            outbox.post(letter)
    return letter


def refuse(number: int) -> Letter:
    """“This was not me”: forgets what was typed and writes to that address no more. May happen twice.

    Raises Gone when the letter was confirmed meanwhile, Letter.DoesNotExist when it is no longer there.
    """
    with transaction.atomic():
        letter = Letter.objects.select_for_update(of=("self",)).get(pk=number)
        if letter.state == Letter.State.REFUSED:
            return letter
        if letter.state != Letter.State.UNCONFIRMED:
            raise Gone(letter)
        consent.suppress(letter.signer_email, reason=Suppression.Reason.NOT_ME)
        _stop(letter, State.SUPPRESSED, "said: not me")
        letter.state = Letter.State.REFUSED
        for name in TYPED:
            setattr(letter, name, "")
        letter.news, letter.lives_in = {}, None
        letter.include_email = letter.show_name = False
        letter.save()
        letter.deliveries.update(recipient="")
    return letter


def withdraw(number: int) -> Letter:
    """Withdraws a confirmed letter that has not left. May happen twice.

    Raises AlreadySent when it is being sent or was, Gone when there is nothing to withdraw.
    """
    with transaction.atomic():
        letter = Letter.objects.select_for_update(of=("self",)).select_related("supporter").get(pk=number)
        if letter.state == Letter.State.WITHDRAWN:
            return letter
        if letter.state != Letter.State.CONFIRMED:
            raise Gone(letter)
        _stop(letter, State.WITHDRAWN, "withdrawn by its sender")
        if letter.deliveries.filter(kind=Delivery.Kind.LETTER, state__in=MAY_HAVE_LEFT).exists():
            raise AlreadySent(letter.reference)
        letter.state = Letter.State.WITHDRAWN
        letter.save(update_fields=["state"])
        _withdraw_consent(letter)
        Tally.objects.filter(campaign=letter.campaign_id, country=letter.country_id).update(
            signed=F("signed") - 1
        )
    return letter


def forget_unconfirmed() -> int:
    """Deletes letters that nobody confirmed within seven days, with their mails; returns how many.

    Refused ones go too. By the database's clock: a worker's may be days wrong. Locked first, so that one
    that is being confirmed at this moment stays.
    """
    forgettable = [Letter.State.UNCONFIRMED, Letter.State.REFUSED]
    old = Letter.objects.filter(state__in=forgettable, created_at__lt=Now() - FORGET_AFTER)
    with transaction.atomic():
        locked = old.exclude(filings__isnull=False).select_for_update(of=("self",))
        ids = list(locked.order_by("pk").values_list("pk", flat=True)[:5000])
        Delivery.objects.filter(letter__in=ids).delete()
        return Letter.objects.filter(pk__in=ids).delete()[1].get("letters.Letter", 0)


def _one_at_a_time(key: str) -> None:
    """Sign-ups for one mailbox wait for each other, so that the brakes count what is there.

    SQLite lets one writer in at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _unwelcome(letter: Letter) -> bool:
    """Whether nothing may be sent to the address: it asked for that, or it is a ministry's own."""
    is_office = Office.objects.filter(address_key=letter.address_key).exists()
    return is_office or bool(consent.suppressed([letter.signer_email]))


def _withdraw_consent(letter: Letter) -> None:
    """Takes the consent back, unless another letter of the supporter in this campaign rests on it."""
    others = Letter.objects.confirmed().filter(supporter=letter.supporter, campaign=letter.campaign_id)
    if letter.supporter and not others.exclude(pk=letter.pk).exists():
        wording, language = letter.consent_wording, letter.reading_language
        consent.withdraw(letter.supporter, letter.purpose, wording=wording, language=language)


def _same(letter: Letter, pending: "Letter.objects") -> Letter | None:
    recent = pending.filter(
        created_at__gt=timezone.now() - SAME_WITHIN, office=letter.office, text=letter.text
    )
    for other in recent:
        if (other.asks, other.own_words, other.signer_name) == (
            letter.asks,
            letter.own_words,
            letter.signer_name,
        ):
            return other
    return None


def _may_write_to(letter: Letter) -> bool:
    mails = Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION, letter__address_key=letter.address_key)
    lately = mails.filter(created_at__gt=timezone.now() - BRAKE_WINDOW).count()
    return lately < PER_WINDOW and mails.filter(campaign=letter.campaign).count() < PER_CAMPAIGN


def _save_numbered(letter: Letter) -> None:
    """Saves with fresh token and reference; on the rare clash draws again, a symbol longer."""
    prefix, country = letter.campaign.reference_prefix, letter.country_id
    for symbols in (4, 4, 5, 6, 8):
        letter.reply_token = tokens.new_reply_token(secrets.choice)
        letter.reference = tokens.new_reference(prefix, country, secrets.choice, symbols)
        try:
            with transaction.atomic():
                letter.save(force_insert=True)
                return
        except IntegrityError:
            if symbols == 8:
                raise


def _supporter(letter: Letter) -> Supporter:
    values = {
        "email": letter.signer_email,
        "name": letter.signer_name,
        "language": letter.reading_language,
        "country": letter.lives_in,
        "city": letter.city,
        "organisation": letter.organisation,
    }
    told = {name: value for name, value in values.items() if value}  # what is left out stays as it was
    supporter, _ = Supporter.objects.update_or_create(address_key=letter.address_key, defaults=told)
    return supporter


def _earlier(letter: Letter, supporter: Supporter) -> Letter | None:
    same = Letter.objects.filter(
        campaign=letter.campaign, round=letter.round, supporter=supporter, office=letter.office
    )
    return same.filter(state=Letter.State.CONFIRMED).first()


def _record_consent(letter: Letter, supporter: Supporter) -> None:
    language = letter.reading_language
    consent.give(supporter, letter.purpose, wording=letter.consent_wording, language=language)
    for organisation, wording in letter.news.items():
        consent.give(supporter, f"news:{organisation}", wording=wording, language=language)


def _stop(letter: Letter, state: State, reason: str) -> int:
    rows = Delivery.objects.filter(letter=letter, state__in=STOPPABLE)
    return rows.to(state, reason=reason)
