"""Response headers: a strict Content-Security-Policy everywhere but under /admin/."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.urls import reverse


class ContentSecurityPolicy(ContentSecurityPolicyMiddleware):
    """Django's middleware, with the admin's own policy under the admin's own path."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.path.startswith(reverse("admin:index")) and not hasattr(response, "_csp_config"):
            response._csp_config = settings.ADMIN_CSP
        return super().process_response(request, response)
