"""Thin doors for Anymail. What they raise is answered with 500, so that a provider tells it again."""

from anymail.signals import AnymailTrackingEvent, inbound, tracking
from django.core.exceptions import ImproperlyConfigured
from django.dispatch import receiver

from letters.tracking import told


@receiver(tracking)
def heard_of_a_delivery(*, event: AnymailTrackingEvent, esp_name: str, **_: object) -> None:
    """A provider says what became of a message."""
    told(esp_name, event)


@receiver(inbound)
def offered_mail(*, esp_name: str, **_: object) -> None:
    """A provider offers mail, as Mandrill may at its one address. Saying yes would lose it."""
    raise ImproperlyConfigured(f"Mail is not taken in from {esp_name}'s webhook: see the README, Real mail.")
