"""What the tests of the admin share: a campaign with two letters, people with exactly the rights named."""

import pytest
from django.contrib.auth.models import Permission, User

from tests import builders


@pytest.fixture
def peace():
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    for _ in range(2):
        builders.confirmed(row)
    return row


@pytest.fixture
def sign_in(client):
    """Signs somebody in who has the named rights, and no others."""

    def as_somebody(*rights, name="ana"):
        user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        client.force_login(user)
        return user

    return as_somebody
