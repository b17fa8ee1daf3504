"""The setting that lets searches go as one batch reaches the FHIR client."""

from __future__ import annotations

import time

import pytest

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.batching import Ehr
from tests.cds.ehr.misbehaving import misbehaving, replying
from tests.hooks import calls

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("batch", "posts"), [("never", False), ("auto", True)])
def test_a_batch_is_sent_when_the_setting_and_the_server_say_so(batch: str, posts: bool) -> None:
    with misbehaving(Ehr(replying({}, 500))) as ehr:
        app = create_app(Settings(fhir_servers=(ehr.base,), batch=batch))
        body = {key: value for key, value in calls.request(name="f000").items() if key != "prefetch"}
        body["fhirServer"] = ehr.base
        with app.test_client() as client:
            client.post(calls.URL, json=body)
            for _ in range(100):  # what the server offers is learnt in the background
                if app.extensions["therapy-cds"].servers.at(ehr.base).capability.offer.batch:
                    break
                time.sleep(0.02)
            before = len(ehr.seen)
            assert client.post(calls.URL, json=body).status_code == 200
        assert (("POST", "/fhir") in [(seen.method, seen.path) for seen in ehr.seen[before:]]) is posts
