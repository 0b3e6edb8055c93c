from letters.models.campaign import Ask, Brake, Campaign, Organiser, Tally, Wave
from letters.models.clock import Shift
from letters.models.delivery import Delivery, DeliveryEvent, Form
from letters.models.incoming import Filing, Incoming, Reading
from letters.models.letter import Letter
from letters.models.odometer import Odometer
from letters.models.pace import Destination, OfficePace, RelayPace
from letters.models.text import Text, TextApproval

__all__ = [
    "Ask",
    "Brake",
    "Campaign",
    "Delivery",
    "DeliveryEvent",
    "Destination",
    "Filing",
    "Form",
    "Incoming",
    "Letter",
    "Odometer",
    "OfficePace",
    "Organiser",
    "Reading",
    "RelayPace",
    "Shift",
    "Tally",
    "Text",
    "TextApproval",
    "Wave",
]
