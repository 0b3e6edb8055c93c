import time
import pytest
from tests import builders
from letters.loading import *
from letters.models import Text
from contacts.models import *
@pytest.mark.django_db
def test_a():
    t=time.time(); builders.world(); print("world",time.time()-t)
    models=[Country,Office,CountryPhrases,SalutationForm]
    t=time.time(); snap=[list(m.objects.all()) for m in models]; print("read",time.time()-t, [len(s) for s in snap])
    for m in reversed(models): m.objects.all().delete()
    t=time.time(); 
    for m,s in zip(models,snap): m.objects.bulk_create(s)
    print("bulk",time.time()-t)
    t=time.time(); c=builders.campaign(approved=False); print("camp unapproved",time.time()-t)
    c.delete()
    t=time.time(); c=builders.campaign(approved=False); print("camp unapproved",time.time()-t)
    c.delete()
    t=time.time(); c=builders.campaign(approved=True); print("camp approved",time.time()-t)
