from django.urls import path

from campaign.pages import views

urlpatterns = [
    path("", views.home, name="home"),
    path("<slug:slug>/", views.campaign, name="campaign"),
]
