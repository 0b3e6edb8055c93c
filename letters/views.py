"""Thin doors of the sign-up: write, preview, confirm, refuse, follow, withdraw. Nothing changes on GET."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from contacts.models import Country, Office, Supporter
from letters import composing, links, previewing, showing, signup
from letters.forms import WriteForm
from letters.links import Purpose
from letters.models import Campaign, Letter

View = Callable[..., HttpResponse]
TYPED = "typed_address"  # a cookie for the next page only: nothing of it is stored here


def secret_page(view: View) -> View:
    """Keeps a page behind a personal link out of caches and search engines; 410 when its time is over."""

    @wraps(view)
    def kept(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except links.ExpiredLink:
            explanation = _(
                "Links in our mails are valid for a limited time. You can simply write your letter again."
            )
            response = _gone(request, _("This link has expired"), explanation)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex"
        return response

    return kept


@require_http_methods(["GET", "HEAD", "POST"])
def write(request: HttpRequest, slug: str) -> HttpResponse:
    """The one page on which a letter is written; POST shows it (action=preview) or signs it."""
    campaign = get_object_or_404(Campaign, slug=slug)
    if not campaign.takes_letters(timezone.now().date()):
        return _closed(request, campaign)
    form = _form(request, campaign)
    if request.method != "POST":
        return _write_page(request, campaign, form)
    if request.POST.get("action") == "preview":
        return _write_page(request, campaign, _form(request, campaign, checked=False))
    if form.is_machine:
        return _look_in_mailbox(request, campaign, request.POST.get("email", ""))
    if form.is_valid():
        office = _office(form.cleaned_data["country"])
        try:
            signup.sign(
                campaign, office, form.cleaned_data["asks"],
                own_words=form.cleaned_data["own_words"], signer=_signer(form.cleaned_data, campaign),
            )  # fmt: skip
        except (signup.NoSuchAsk, composing.NoText):
            form.add_error("country", _("We have no letter for this country yet. Please choose another one."))
        else:
            return _look_in_mailbox(request, campaign, form.cleaned_data["email"])
    return _write_page(request, campaign, form)


@require_POST
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The letter of a half-filled form, for the live preview. Stores nothing."""
    campaign = get_object_or_404(Campaign, slug=slug)
    return render(request, "letters/_preview.html", _previews(campaign, request.POST))


@require_safe
@secret_page
def check_mail(request: HttpRequest, slug: str) -> HttpResponse:
    """“Look in your mailbox”: the same for everyone, whatever was done."""
    campaign = get_object_or_404(Campaign, slug=slug)
    context = {
        "campaign": showing.campaign(campaign),
        "email": request.get_signed_cookie(TYPED, "", max_age=600),
        "from_address": f"{campaign.from_localpart}@{settings.REPLY_DOMAIN}",
    }
    return render(request, "letters/check_mail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@secret_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the whole letter; only the button confirms it."""
    letter, answer = _linked(request, Purpose.CONFIRM, token)
    if letter is None:
        return answer
    if request.method == "POST":
        try:
            confirmed = signup.confirm(letter.pk)
        except (signup.Gone, Letter.DoesNotExist):  # by another button, since the lines above
            return _no_longer_here(request)
        except signup.Closed:
            return _closed(request, letter.campaign)
        return redirect("letters:thanks", token=links.make(Purpose.THANKS, confirmed.pk))
    context = showing.to_confirm(letter) | {
        "post_url": reverse("letters:confirm", args=[token]),
        "refuse_url": reverse("letters:refuse", args=[links.make(Purpose.REFUSE, letter.pk)]),
    }
    return render(request, "letters/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@secret_page
def refuse(request: HttpRequest, token: str) -> HttpResponse:
    """“This was not me”: GET shows the same page as confirming does, the button deletes."""
    letter, answer = _linked(request, Purpose.REFUSE, token)
    if letter is None:
        return answer
    if request.method == "POST":
        try:
            signup.refuse(letter.pk)
        except (signup.Gone, Letter.DoesNotExist):
            return _no_longer_here(request)
        return _gone(
            request,
            _("Deleted"),
            _("What was entered with your address is deleted, and we do not write to it again."),
            status=200,
        )
    context = showing.to_confirm(letter) | {
        "post_url": reverse("letters:confirm", args=[links.make(Purpose.CONFIRM, letter.pk)]),
        "refuse_url": reverse("letters:refuse", args=[token]),
    }
    return render(request, "letters/confirm.html", context)


@require_safe
@secret_page
def thanks(request: HttpRequest, token: str) -> HttpResponse:
    """“Letter 42 to France”, and how to pass it on."""
    number = _read(Purpose.THANKS, token)
    letter = get_object_or_404(Letter.objects.select_related("campaign", "office__country"), pk=number)
    if letter.supporter_id is None:
        raise Http404
    return render(request, "letters/thanks.html", showing.thanks(letter))


@require_safe
@secret_page
def my_letters(request: HttpRequest, token: str) -> HttpResponse:
    """A supporter's letters, each with where it stands."""
    supporter = get_object_or_404(Supporter, pk=_read(Purpose.MY_LETTERS, token))
    page = showing.letters_of(supporter, token, read=request.GET.get("letter", ""))
    return render(request, "letters/my_letters.html", page)


@require_POST
@secret_page
def withdraw(request: HttpRequest, token: str, number: int) -> HttpResponse:
    """Withdraws one of the supporter's own letters, if it has not left."""
    letter = get_object_or_404(Letter, pk=number, supporter=_read(Purpose.MY_LETTERS, token))
    try:
        signup.withdraw(letter.pk)
    except signup.AlreadySent:
        messages.error(request, _("This letter is already on its way and can no longer be withdrawn."))
    except signup.Gone:
        messages.error(request, _("There is nothing to withdraw any more."))
    else:
        messages.success(request, _("Your letter is withdrawn. It will not be sent."))
    return redirect("letters:my_letters", token=token)


def _form(request: HttpRequest, campaign: Campaign, *, checked: bool = True) -> WriteForm:
    """The form with what was typed; unchecked (for a mere preview) it shows no errors."""
    options = {"campaign": campaign, "language": get_language(), "today": timezone.now().date()}
    if request.method != "POST":
        return WriteForm(initial={"country": request.GET.get("country", "")}, **options)
    if checked:
        return WriteForm(request.POST, **options)
    typed = request.POST.dict() | {"asks": request.POST.getlist("asks"), "news": request.POST.getlist("news")}
    return WriteForm(initial=typed, **options)


def _write_page(request: HttpRequest, campaign: Campaign, form: WriteForm) -> HttpResponse:
    typed = request.POST if request.method == "POST" else request.GET
    page = showing.campaign(campaign)
    chosen, news = typed.getlist("asks"), typed.getlist("news")
    context = {
        "campaign": page,
        "form": form,
        "asks": [ask | {"checked": ask["key"] in chosen} for ask in page["asks"]],
        "news_choices": [choice | {"checked": choice["key"] in news} for choice in showing.news(campaign)],
        "consent_wording": showing.consent_wording(campaign),
        "preview_url": reverse("letters:preview", args=[campaign.slug]),
        "organisers": page["organisers"],
        **_previews(campaign, typed),
    }
    return render(request, "letters/write.html", context)


def _previews(campaign: Campaign, typed: Any) -> dict[str, Any]:
    office = _office(typed.get("country", ""))
    if office is None:
        return {"preview": {"empty": True}}
    own_words = typed.get("own_words", "")[:5000].replace("\x00", "")
    part = {"asks": typed.getlist("asks"), "own_words": own_words, "signer": _half_signer(typed)}
    try:
        reading = previewing.reading_copy(campaign, office, **part)
        return {"preview": previewing.preview(campaign, office, **part), "reading": reading}
    except composing.NoText:
        return {"preview": {"empty": True}}


def _half_signer(typed: Any) -> signup.Signer:
    """Whatever is known of the signer so far; nothing of it is stored."""
    values = {
        name: " ".join(typed.get(name, "")[:200].split())
        for name in ("name", "email", "city", "organisation")
    }
    return signup.Signer(
        name=values["name"] or _("[your name]"),
        email="",
        city=values["city"],
        organisation=values["organisation"],
        lives_in=Country.objects.filter(pk=_code(typed.get("lives_in", ""))).first(),
        reading_language=get_language(),
        consent_wording="",
    )


def _signer(data: dict[str, Any], campaign: Campaign) -> signup.Signer:
    wordings = {choice["key"]: choice["label"] for choice in showing.news(campaign)}
    return signup.Signer(
        name=data["name"],
        email=data["email"],
        reading_language=get_language(),
        consent_wording=showing.consent_wording(campaign),
        lives_in=Country.objects.filter(pk=data["lives_in"]).first(),
        city=data["city"],
        organisation=data["organisation"],
        include_email=data["include_email"],
        show_name=data["show_name"],
        news={key: wordings[key] for key in data["news"]},
    )


def _office(country: str) -> Office | None:
    return Office.objects.open().ministries().select_related("country").filter(country=_code(country)).first()


def _code(typed: str) -> str:
    """What was typed, if it can be the code of a State; PostgreSQL takes no NUL, not even to look for it."""
    return typed if len(typed) == 2 and typed.isascii() and typed.isalpha() else ""


def _look_in_mailbox(request: HttpRequest, campaign: Campaign, email: str) -> HttpResponse:
    answer = redirect("letters:check_mail", slug=campaign.slug)
    answer.set_signed_cookie(
        TYPED, email[:254], max_age=600, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
    )
    return answer


def _read(purpose: Purpose, token: str) -> int:
    try:
        return links.read(purpose, token)
    except links.WrongLink:
        raise Http404 from None


def _linked(request: HttpRequest, purpose: Purpose, token: str) -> tuple[Letter | None, HttpResponse]:
    """The unconfirmed letter of a link, or None and the page that says what became of it."""
    related = ("campaign", "office__country", "country", "text", "footer", "lives_in")
    letter = Letter.objects.select_related(*related).filter(pk=_read(purpose, token)).first()
    if letter is not None and letter.state == Letter.State.UNCONFIRMED:
        return letter, HttpResponse()
    if letter is not None and letter.supporter_id is not None:
        mine = reverse("letters:my_letters", args=[links.make(Purpose.MY_LETTERS, letter.supporter_id)])
        heading, text = _("This letter is confirmed already"), _("On your own page you see where it stands.")
        return None, _gone(request, heading, text, way_on=(mine, _("See my letters")))
    return None, _no_longer_here(request)


def _closed(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    return render(request, "letters/closed.html", {"campaign": showing.campaign(campaign)}, status=410)


def _no_longer_here(request: HttpRequest) -> HttpResponse:
    heading = _("This letter is no longer here")
    return _gone(request, heading, _("It was deleted, or its time ran out. Nothing was sent."))


def _gone(
    request: HttpRequest,
    heading: str,
    explanation: str,
    *,
    way_on: tuple[str, str] | None = None,
    status: int = 410,
) -> HttpResponse:
    url, label = way_on or (reverse("home"), _("See the campaigns"))
    context = {"heading": heading, "explanation": explanation, "way_on_url": url, "way_on_label": label}
    return render(request, "letters/gone.html", context, status=status)
