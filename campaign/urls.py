from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from campaign import webhooks
from campaign.pages import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("anymail/", include(webhooks.urlpatterns)),
    path("favicon.ico", RedirectView.as_view(url="/static/campaign/favicon.svg", permanent=False)),
    *i18n_patterns(
        path("", include("letters.urls")),
        path("", include("campaign.pages.urls")),
    ),
]
