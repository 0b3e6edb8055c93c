"""What the tests of providers share: one of this machine as the mailer for letters."""

import pytest

from letters.sending import providers
from letters.sending.jobs import Result
from tests.provider import Answer, Asked, Provider, job

KEYS = {
    "mailersend": {"api_token": "secret"},
    "mailjet": {"api_key": "secret", "secret_key": "secret"},
    "mailtrap": {"api_token": "secret"},
    "postmark": {"server_token": "secret"},
    "scaleway": {"secret_key": "secret", "project_id": "project"},
}


@pytest.fixture
def use(settings, monkeypatch):
    """Makes a provider's backend the mailer for letters, its API at an address of this machine."""
    monkeypatch.setattr(providers, "FRESH", 60.0)

    def made(name: str, url: str, **options: object) -> None:
        options = KEYS.get(name, {"api_key": "secret"}) | {"timeout": 5} | options
        settings.MAILERS = settings.MAILERS | {
            "letters": {
                "BACKEND": f"anymail.backends.{name}.EmailBackend",
                "OPTIONS": options | {"api_url": url, "ignore_unsupported_features": True},
            }
        }

    return made


@pytest.fixture
def offer(use):
    """Offers jobs to a provider that gives the answers; returns what it was asked and the results."""

    def offered(
        name: str, *given: Answer, jobs: int = 1, **options: object
    ) -> tuple[list[Asked], list[Result]]:
        with Provider(*given) as provider:
            use(name, provider.url, **options)
            sent = [job(number) for number in range(1, jobs + 1)]
            results = list(providers.submit("letters", sent))
        assert [one.number for one, _ in results] == [one.number for one in sent]
        return provider.asked, [result for _, result in results]

    return offered
