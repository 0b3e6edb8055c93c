from contacts.models.country import Country, CountryPhrases, SalutationForm
from contacts.models.office import Office, OfficeHolder
from contacts.models.organisation import Organisation, OrganisationAbout
from contacts.models.supporter import Consent, Supporter, Suppression

__all__ = [
    "Consent",
    "Country",
    "CountryPhrases",
    "Office",
    "OfficeHolder",
    "Organisation",
    "OrganisationAbout",
    "SalutationForm",
    "Supporter",
    "Suppression",
]
