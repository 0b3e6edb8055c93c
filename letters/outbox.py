"""Puts mail into the table that is the queue. Writes rows and returns: nothing is sent from here.

Whoever changes many letters of a campaign at once holds the campaign's row locked. So a launch, a
cancellation and the tidying by tasks follow one another, and never wait for each other's letters in a ring.
"""

import json
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import Now, RowNumber
from django.utils import timezone

from contacts.models import Office, Supporter
from letters.models import Campaign, Delivery, Letter, OfficePace, Wave
from letters.querysets import DeliveryQuerySet, LetterQuerySet
from letters.rules.ledger import STOPPABLE, State, sources

NO_ADDRESS = "no verified address"
CANARY = "waits for the canary"
CANARY_OVER = 1000  # letters; a wave of so many goes at once
CANARY_SHARE, CANARY_AT_LEAST = 100, 10  # of a larger one, every hundredth letter goes first
STRAGGLERS_AT_ONCE = 2000
STRAGGLES = timedelta(days=2)  # how long after its confirmation a letter is looked for
OVER = Q(send_by__lt=Now()) | Q(sending=Campaign.Sending.CANCELLED)
ITS_ADDRESS = Subquery(Office.objects.filter(pk=OuterRef("office")).values("email")[:1])

# A wave in one statement: nothing is carried into Python and back.
# Its letters are listed, not searched for: no plan made without fresh statistics can make it slow.
# An office's letters lie side by side, as they will be claimed.
FREEZE = """
    INSERT INTO letters_delivery (
        kind, lane, letter_id, campaign_id, wave_id, office_id, supporter_id, message_id,
        recipient, state, reason, provider_id, claimed_by, outcome, attempts
    )
    SELECT
        %(kind)s, %(lane)s, letter.id, letter.campaign_id, %(wave)s, letter.office_id, letter.supporter_id,
        '<' || {random} || '@' || %(domain)s || '>',
        COALESCE(office.email, ''),
        CASE WHEN office.id IS NULL THEN %(held)s ELSE %(state)s END,
        CASE WHEN office.id IS NULL THEN %(no_address)s ELSE %(reason)s END,
        '', '', 0, 0
    FROM letters_letter AS letter
    LEFT JOIN contacts_office AS office ON office.id = letter.office_id AND office.id {in_sendable}
    WHERE letter.id {in_letters}
    ORDER BY letter.office_id, letter.id
"""
RANDOM = {  # 122 and 128 bits, as 32 hexadecimal digits
    "postgresql": "REPLACE(CAST(GEN_RANDOM_UUID() AS text), '-', '')",
    "sqlite": "LOWER(HEX(RANDOMBLOB(16)))",
}
AMONG = {  # a list as one parameter, however long
    "postgresql": "= ANY(CAST(%({name})s AS bigint[]))",
    "sqlite": "IN (SELECT value FROM JSON_EACH(%({name})s))",
}


def new_message_id() -> str:
    """A Message-ID (RFC 5322 §3.6.4), fixed when the row is made and reused on every try."""
    return f"<{secrets.token_hex(16)}@{settings.REPLY_DOMAIN}>"


def put(
    kind: Delivery.Kind, *, letter: Letter | None, recipient: str, supporter: Supporter | None = None
) -> Delivery:
    """One message to a supporter, to be sent as soon as a worker is free."""
    return Delivery.objects.create(
        kind=kind,
        lane=Delivery.LANES[kind],
        letter=letter,
        campaign=letter.campaign if letter else None,
        supporter=supporter,
        recipient=recipient,
        message_id=new_message_id(),
    )


def post(letter: Letter) -> bool:
    """Posts a confirmed letter into today's rolling wave; False when it is in the outbox already."""
    with transaction.atomic():
        campaign = _locked(letter.campaign_id)
        chosen = _chosen(Letter.objects.filter(pk=letter.pk))
        if chosen:
            wave = _rolling_wave(campaign)
            _freeze(chosen, wave)
            Wave.objects.filter(pk=wave.pk).update(selected=F("selected") + len(chosen))
        return bool(chosen)


def post_all(campaign: Campaign, *, launched_by: str) -> Wave | None:
    """Freezes all confirmed letters that are not in the outbox yet into a new wave, all or nothing.

    Of a large wave only the canary goes; the others are held until a person lets them go. The caller
    holds the campaign's row locked. None when there was no letter.
    """
    chosen = _chosen(Letter.objects.filter(campaign=campaign, round=campaign.round))
    if not chosen:
        return None
    wave = Wave.objects.create(
        campaign=campaign, number=_next_number(campaign), launched_by=launched_by, selected=len(chosen)
    )
    if size := canary_size(len(chosen)):
        _freeze(chosen, wave, held_for=CANARY)
        _send_canary(wave, size)
    else:
        _freeze(chosen, wave)
    return wave


def canary_size(selected: int) -> int:
    """How many letters of a new wave go first; 0 when it is small enough to go at once."""
    return max(CANARY_AT_LEAST, selected // CANARY_SHARE) if selected > CANARY_OVER else 0


def post_stragglers() -> int:
    """Posts confirmed letters of running campaigns that are not in the outbox; returns how many.

    A letter confirmed while its campaign was being launched can be one: only those of the last days are
    looked at, for this runs all the time. Older ones go with the next wave. May run at any time.
    """
    missing = Letter.objects.unposted().filter(
        confirmed_at__gt=Now() - STRAGGLES,
        campaign__sending=Campaign.Sending.RUNNING,
        round=F("campaign__round"),
    )
    return sum(post(letter) for letter in missing.order_by("pk")[:STRAGGLERS_AT_ONCE])


def canary_waves() -> QuerySet[Wave]:
    """Waves whose canary went first, and whose other letters still wait."""
    return Wave.objects.filter(canary__gt=0, continued_at=None)


def behind_canary(wave: Wave) -> DeliveryQuerySet:
    """The letters of a wave that wait for what its canary shows."""
    held = Delivery.objects.letters().filter(campaign=wave.campaign_id, state=State.HELD, reason=CANARY)
    return held.filter(wave=wave)


def let_go(wave: Wave) -> int:
    """Lets go the letters that waited for their wave's canary; returns how many.

    Those whose office lost its address meanwhile wait for that. The caller holds the campaign's row locked.
    """
    held = behind_canary(wave)
    released = held.filter(office__in=Office.objects.sendable()).to(
        State.WAITING, reason="", recipient=ITS_ADDRESS, due_at=Now()
    )
    held.update(reason=NO_ADDRESS, recipient="")
    return released


def release_held() -> int:
    """Lets go the letters that waited for their office's address; returns how many. May run at any time.

    Where a canary is out, they join those that wait for it.
    """
    held = Delivery.objects.letters().filter(
        state=State.HELD, reason=NO_ADDRESS, office__in=Office.objects.sendable()
    )
    released = 0
    for campaign in list(held.order_by().values_list("campaign", flat=True).distinct()):
        with transaction.atomic():
            _locked(campaign)
            mine = held.filter(campaign=campaign)
            waves = list(canary_waves().filter(campaign=campaign))
            mine.filter(wave__in=waves).update(reason=CANARY, recipient=ITS_ADDRESS)
            released += mine.exclude(wave__in=waves).to(
                State.WAITING, reason="", recipient=ITS_ADDRESS, due_at=Now()
            )
    return released


def call_off(campaign: int, target: State, *, reason: str) -> int:
    """Ends a campaign's letters that have not left; returns how many.

    Those in a worker's hands at this moment are passed over: we hold thousands of rows, in another order than
    it takes them, and waiting for each other would be a ring. What it does not send, `close_overdue` ends.
    """
    letters = Delivery.objects.letters().filter(campaign=campaign, state__in=sources(target))
    with transaction.atomic():
        _locked(campaign)
        mine = Delivery.objects.filter(pk__in=letters.order_by().locked().values("pk"))
        return mine.to(target, reason=reason[:300])


def close_overdue() -> int:
    """Ends letters that will never leave: too late, or their campaign is cancelled. May run at any time."""
    done = 0
    for campaign, sending in Campaign.objects.filter(OVER).values_list("pk", "sending"):
        if Delivery.objects.letters().filter(campaign=campaign, state__in=STOPPABLE).exists():
            cancelled = sending == Campaign.Sending.CANCELLED
            reason = "the campaign was cancelled" if cancelled else "too late to send"
            done += call_off(campaign, State.CANCELLED if cancelled else State.EXPIRED, reason=reason)
    return done


def _locked(campaign: int) -> Campaign:
    return Campaign.objects.select_for_update(no_key=True).get(pk=campaign)


def _chosen(letters: LetterQuerySet) -> dict[int, int]:
    """{letter: its office} of those that are to be posted.

    Locked until they are: a withdrawal at this moment waits, and then finds the delivery to withdraw.
    """
    rows = letters.unposted().order_by("pk").select_for_update(of=("self",), no_key=True)
    return dict(rows.values_list("pk", "office"))


def _freeze(chosen: dict[int, int], wave: Wave, *, held_for: str = "") -> None:
    """Makes the deliveries of a wave, and a timetable for every office that has none yet."""
    offices = sorted(set(chosen.values()))
    sendable = Office.objects.sendable().filter(pk__in=offices).values_list("pk", flat=True)
    values = {
        "kind": Delivery.Kind.LETTER.value,
        "lane": Delivery.LANES[Delivery.Kind.LETTER],
        "wave": wave.pk,
        "domain": settings.REPLY_DOMAIN,
        "held": State.HELD.value,
        "no_address": NO_ADDRESS,
        "state": (State.HELD if held_for else State.WAITING).value,
        "reason": held_for,
        "sendable": _parameter(sendable),
        "letters": _parameter(chosen),
    }
    among = AMONG[connection.vendor]
    statement = FREEZE.format(
        random=RANDOM[connection.vendor],
        in_sendable=among.format(name="sendable"),
        in_letters=among.format(name="letters"),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    OfficePace.objects.bulk_create((OfficePace(office_id=pk) for pk in offices), ignore_conflicts=True)


def _parameter(numbers: Iterable[int]) -> Any:
    """A list as one parameter of a statement."""
    return list(numbers) if connection.vendor == "postgresql" else json.dumps(list(numbers))


def _send_canary(wave: Wave, size: int) -> None:
    """Lets the canary of a held wave go: in turns over its offices, so that it says something of each."""
    held = behind_canary(wave)
    turn = Window(RowNumber(), partition_by=F("office"), order_by="message_id")  # at random, as these are
    first = held.annotate(turn=turn).order_by("turn", "message_id").values_list("pk", flat=True)[:size]
    went = Delivery.objects.filter(pk__in=list(first)).to(State.WAITING, reason="")
    wave.canary = went if held.exists() else 0  # nobody waits: there is nothing to go on with
    wave.save(update_fields=["canary"])


def _rolling_wave(campaign: Campaign) -> Wave:
    day = timezone.now().date()
    wave = Wave.objects.filter(campaign=campaign, day=day).first()
    return wave or Wave.objects.create(campaign=campaign, day=day, number=_next_number(campaign))


def _next_number(campaign: Campaign) -> int:
    return (Wave.objects.filter(campaign=campaign).aggregate(last=Max("number"))["last"] or 0) + 1
