from letters.models.campaign import Ask, Campaign, Organiser, Tally, Wave
from letters.models.clock import Shift
from letters.models.delivery import Delivery, DeliveryEvent, Form, OfficePace
from letters.models.incoming import Filing, Incoming, Reading
from letters.models.letter import Letter
from letters.models.text import Text, TextApproval

__all__ = [
    "Ask",
    "Campaign",
    "Delivery",
    "DeliveryEvent",
    "Filing",
    "Form",
    "Incoming",
    "Letter",
    "OfficePace",
    "Organiser",
    "Reading",
    "Shift",
    "Tally",
    "Text",
    "TextApproval",
    "Wave",
]
