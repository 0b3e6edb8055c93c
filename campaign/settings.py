"""Settings of Demarche: one file, read from the environment (see README, Configure)."""

from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from campaign import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
SAMPLE_KEY = "django-insecure-only-for-loopback-until-SECRET_KEY-is-set"

# The site
DEBUG = env.flag("DEBUG", default=False)
SITE_URL = env.site_url("SITE_URL", default="http://127.0.0.1:8000")
_site = urlsplit(SITE_URL)
SITE_IS_LOOPBACK = _site.hostname in env.LOOPBACK
SECRET_KEY = env.text("SECRET_KEY", default=SAMPLE_KEY)
if SECRET_KEY == SAMPLE_KEY and not SITE_IS_LOOPBACK:
    raise ImproperlyConfigured("SECRET_KEY must be set when SITE_URL is not on this machine.")
SUPPRESSION_KEY = env.text("SUPPRESSION_KEY", default=SECRET_KEY)
ALLOWED_HOSTS = sorted(env.LOOPBACK | {"[::1]"}) if SITE_IS_LOOPBACK else [_site.hostname]
CSRF_TRUSTED_ORIGINS = [SITE_URL]
ROOT_URLCONF = "campaign.urls"
WSGI_APPLICATION = "campaign.wsgi.application"
ABSOLUTE_URL_OVERRIDES = {"letters.campaign": lambda row: reverse("campaign", args=[row.slug])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "campaign",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "import_export",
    "django_htmx",
    "anymail",
    "contacts",
    "letters",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "campaign.headers.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "campaign.pages.context.alternates",
            ],
        },
    },
]

# Data
DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'demarche.sqlite3'}")}
REDIS_URL = env.text("REDIS_URL", default="redis://127.0.0.1:6379/0")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_000_000  # bytes of a form; import files are files and counted apart
INCOMING_MAX_BYTES = 25_000_000

# Languages: of the pages. Languages of letters are the ministries'.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "campaign" / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

# Static files
STATIC_URL = "/static/"
STATIC_ROOT = (
    env.text("STATIC_ROOT", default="" if SITE_IS_LOOPBACK else str(BASE_DIR / "staticfiles")) or None
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if not SITE_IS_LOOPBACK
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = SITE_IS_LOOPBACK  # on this machine nothing needs to be collected first

# Mail. Without these variables nothing can leave the machine.
_urls = {"default": "MAIL_URL", "supporters": "SUPPORTERS_MAIL_URL", "letters": "LETTERS_MAIL_URL"}
MAILERS = {alias: env.mailer(variable) for alias, variable in _urls.items()}
SAMPLE_DOMAIN = "replies.demarche.example"
REPLY_DOMAIN = env.text("REPLY_DOMAIN", default=SAMPLE_DOMAIN).lower()
_real_mail = any(row["BACKEND"] != env.LOOPBACK_BACKEND for row in MAILERS.values())
if _real_mail and (SECRET_KEY == SAMPLE_KEY or REPLY_DOMAIN == SAMPLE_DOMAIN):
    # With sample values bounces and links could be forged, and answers would be lost.
    raise ImproperlyConfigured("Real mail needs SECRET_KEY and REPLY_DOMAIN.")
ANYMAIL = env.webhooks()
if "WEBHOOK_SECRET" not in ANYMAIL and any(row["BACKEND"].startswith("anymail.") for row in MAILERS.values()):
    raise ImproperlyConfigured(
        "A provider needs ANYMAIL_WEBHOOK_SECRET: its webhooks tell what became of mail."
    )
INBOUND_LISTEN = env.text("INBOUND_LISTEN", default="lmtp://127.0.0.1:8024")
DEFAULT_FROM_EMAIL = f"campaign@{REPLY_DOMAIN}"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Celery: the broker is only the bell, it may lose or repeat anything.
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "campaign.celery:Transport"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,  # seconds; longer than any task lasts, see CELERY_TASK_TIME_LIMIT
    "unacked_restore_throttle": 1,  # else a killed worker's tasks wait for this and ~100 s more
    "unacked_restore_interval": 5,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 90  # a sending round of 20 s, up to 30 s for what is on the lines then, and room
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_DB_REUSE_MAX = 1000
CELERY_TIMEZONE = "UTC"
# In memory: every ring may come late or again, so there is nothing to remember, and beat's usual file fails
# at times (Python 3.13 keeps it in SQLite, which says “locking protocol”).
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    # No `expires`: it would compare two machines' clocks. A ring that finds all places taken does nothing.
    "send what is due": {"task": "letters.send_due", "schedule": 2.0},
    "file what came in": {"task": "letters.file_incoming", "schedule": 2.0},
    "settle expired leases": {"task": "letters.recover", "schedule": 10.0},
    "release held letters": {"task": "letters.release_held", "schedule": 30.0},
    "look whether to brake": {"task": "letters.brake", "schedule": 15.0},
    "forget unconfirmed": {"task": "letters.forget_unconfirmed", "schedule": 600.0},
}

# Sending
SEND_BATCH = env.integer("SEND_BATCH", default=1000)  # deliveries claimed at once, at most
SEND_PLACES = env.integer("SEND_PLACES", default=2)  # worker processes that send at the same time
LEASE_SECONDS = env.lease(  # a silent worker's rows come back after this
    "LEASE_SECONDS", default=75, mailers={_urls[alias]: row for alias, row in MAILERS.items()}
)

JOURNAL_DIR = env.text("JOURNAL_DIR", default=str(BASE_DIR / ".journal"))  # on a disk that outlives a worker
LETTER_ID_HEADER = env.header("LETTER_ID_HEADER")  # a header with the letter's number, for logs

# Security
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
}
ADMIN_CSP = SECURE_CSP | {
    # django-unfold needs both, under /admin/ only.
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL, CSP.UNSAFE_INLINE],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
if _site.scheme == "https":
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_HSTS_SECONDS = 63_072_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Admin and imports
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = False
UNFOLD = {
    "SITE_TITLE": "Demarche",
    "SITE_HEADER": "Demarche",
    "SITE_URL": "/",
    "STYLES": [lambda request: static("campaign/admin.css")],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {
        "primary": {
            "50": "#eef4f8", "100": "#d6e4ee", "200": "#aecadd", "300": "#7eaac6", "400": "#4f87ab",
            "500": "#336b90", "600": "#275675", "700": "#20465f", "800": "#1b394d", "900": "#162e3e",
            "950": "#0d1c27",
        }
    },
}  # fmt: skip

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"hide_tokens": {"()": "campaign.logs.HideTokens"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["hide_tokens"]}
    },
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", default="INFO")},
}
