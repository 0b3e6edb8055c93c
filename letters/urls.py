from django.urls import path

from letters import views

app_name = "letters"
urlpatterns = [
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("refuse/<str:token>/", views.refuse, name="refuse"),
    path("thanks/<str:token>/", views.thanks, name="thanks"),
    path("my/<str:token>/", views.my_letters, name="my_letters"),
    path("my/<str:token>/withdraw/<int:number>/", views.withdraw, name="withdraw"),
    path("<slug:slug>/write/", views.write, name="write"),
    path("<slug:slug>/write/preview/", views.preview, name="preview"),
    path("<slug:slug>/write/sent/", views.check_mail, name="check_mail"),
]
