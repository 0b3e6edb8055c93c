"""The door for providers' webhooks: Anymail's tracking views, behind a secret that is asked for first.

Without a secret there is no door. Providers' inbound webhooks have none either: mail is taken in as it
arrived, byte for byte, and they give it in parts of their own making.
"""

from collections.abc import Callable
from functools import wraps

from anymail.urls import urlpatterns as providers
from anymail.utils import get_request_basic_auth
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.crypto import constant_time_compare


def guarded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A webhook that answers 404 while there is no secret, and 401 to who does not know it.

    Asked for before anything is read, so that a stranger's request reaches no provider's code. 401, because
    Amazon sends a secret only when it is asked for one.
    """

    @wraps(view)  # keeps that it needs no CSRF token
    def guard(request: HttpRequest, *args: object, **named: object) -> HttpResponse:
        secret = settings.ANYMAIL.get("WEBHOOK_SECRET")
        if not secret:
            return HttpResponse(status=404)
        if not constant_time_compare(get_request_basic_auth(request) or "", secret):
            return HttpResponse(status=401, headers={"WWW-Authenticate": 'Basic realm="webhooks"'})
        return view(request, *args, **named)

    return guard


urlpatterns = [
    URLPattern(pattern.pattern, guarded(pattern.callback), pattern.default_args, pattern.name)
    for pattern in providers
    if pattern.name.endswith(("tracking_webhook", "mandrill_webhook"))
]
