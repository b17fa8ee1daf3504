"""Who the user is: only what a right id_token says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.hooks.smart.conftest import Place
from tests.hooks.smart.ehr import CLIENT
from tests.hooks.smart.looking import Json, browser_of, refused


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"claims": {"aud": "another-app"}}, id="audience"),
        pytest.param({"claims": {"aud": None}}, id="no audience"),
        pytest.param({"claims": {"aud": [CLIENT, "another-app"]}}, id="several audiences"),
        pytest.param({"claims": {"azp": "another-app"}}, id="for another app"),
        pytest.param({"claims": {"iss": "https://elsewhere.example"}}, id="issuer"),
        pytest.param({"claims": {"exp": 1_700_000_000}}, id="expired"),
        pytest.param({"claims": {"exp": None}}, id="no end"),
        pytest.param({"claims": {"iat": 4_000_000_000, "exp": 4_000_000_300}}, id="of the future"),
        pytest.param({"claims": {"nonce": "another"}}, id="nonce"),
        pytest.param({"claims": {"nonce": None}}, id="no nonce"),
        pytest.param({"claims": {"sub": None}}, id="no subject"),
        pytest.param({"key": "stranger"}, id="signature"),
        pytest.param({"key": "stranger", "algorithm": "ES384"}, id="signature of an EC key"),
        pytest.param({"algorithm": "none"}, id="unsigned"),
        pytest.param({"algorithm": "HS256"}, id="shared secret"),
        pytest.param({"header": {"kid": "unknown"}}, id="unknown key"),
        pytest.param({"algorithm": "ES384", "header": {"kid": "ehr-rsa"}}, id="key of another kind"),
        pytest.param({"response": {"id_token": "a.b.c"}}, id="garbage"),
        pytest.param({"response": {"id_token": "x" * 20_000}}, id="too long"),
    ],
)
def test_it_is_refused_when_the_id_token_is_wrong(place: Place, faults: Json) -> None:
    for name, value in faults.items():
        setattr(place.ehr.faults, name, value)
    refused(place.launch(), 403, "could not be verified")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "ES384", "PS256"])
def test_the_user_is_known_when_the_id_token_is_right(place: Place, algorithm: str) -> None:
    place.ehr.faults.algorithm = algorithm
    handle = urlsplit(place.launch().url).path.rpartition("/")[2]
    session = place.smart.launcher.session(handle, browser_of(place))
    assert session.user == "Practitioner/dr-example"
    assert (session.patient, session.encounter, session.banner) == ("f000", "visit-1", True)


@pytest.mark.parametrize("openid", [{"issuer": "https://elsewhere.example"}, {"jwks_uri": "http://ehr.example.org/k"}])
def test_it_is_said_when_the_issuers_keys_cannot_be_had(place: Place, openid: Json) -> None:
    place.ehr.faults.openid = openid
    refused(place.launch(), 502, "OpenID configuration")
