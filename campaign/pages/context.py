"""What every page needs: its other languages, and the way home."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse, translate_url
from django.utils.translation import get_language_info


def alternates(request: HttpRequest) -> dict[str, Any]:
    """The address of this page in each language of the site."""
    here = settings.SITE_URL + request.path
    found = [
        {"code": code, "name": get_language_info(code)["name_local"], "url": translate_url(here, code)}
        for code, _ in settings.LANGUAGES
    ]
    return {"alternates": found, "home_url": reverse("home")}
