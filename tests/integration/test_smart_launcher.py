"""The app is launched by a SMART EHR that was not written here: smart-on-fhir/smart-launcher-v2.

THERAPY_CDS_TEST_LAUNCHER names its folder, after `npm install` there (docs/smart.md); its pages need not be built.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from hooks.sandbox.http import FhirServer
from hooks.sandbox.processes import Program, free_port
from hooks.smart.session import Session, Store
from tests.hooks.smart.conftest import Place, serving
from tests.hooks.smart.ehr import TestEhr

LAUNCHER = os.environ.get("THERAPY_CDS_TEST_LAUNCHER", "")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not LAUNCHER, reason="THERAPY_CDS_TEST_LAUNCHER names no folder of smart-launcher-v2"),
]
SCOPES = (
    "launch openid fhirUser patient/Patient.r patient/Encounter.rs patient/Observation.crs "
    "patient/QuestionnaireResponse.c patient/DocumentReference.c offline_access"
)
EHR_LAUNCH, STANDALONE = 0, 3
CLIENTS = [("public", "RS384"), ("private_key_jwt", "RS384"), ("private_key_jwt", "ES384")]


@pytest.fixture(scope="module")
def launcher(fhir_server: str, logs: Path) -> Iterator[str]:
    """Where the launcher runs, before the FHIR server with the example patients."""
    port = free_port()
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "SECRET": "made-up", "SOURCE_VERSION": "x"}
    servers = {"FHIR_SERVER_R2": "", "FHIR_SERVER_R3": "", "FHIR_SERVER_R4": fhir_server, "NODE_ENV": "production"}
    command = ["node_modules/.bin/ts-node", "--skipProject", "--transpile-only", "backend/index.ts"]
    ready = f"http://127.0.0.1:{port}/v/r4/fhir/.well-known/smart-configuration"
    environment = os.environ | settings | servers
    with Program("the SMART launcher", command, logs / "launcher.log", ready, environment, Path(LAUNCHER)) as program:
        program.wait_until_ready()
        yield f"http://127.0.0.1:{port}/v/r4"


def options(kind: int, jwks_url: str) -> str:
    """What the launcher's own page would make: f000, somebody signed in who says yes, and the client's keys."""
    client = 2 if jwks_url else 0
    chosen = [kind, "f000", "example", "NONE", 1, 1, 0, "", "", "", "", "", jwks_url, "", client, 2, ""]
    return base64.urlsafe_b64encode(json.dumps(chosen).encode()).decode().rstrip("=")


@contextmanager
def known_to(launcher: str, folder: Path, kind: int, method: str, algorithm: str) -> Iterator[tuple[Place, str, str]]:
    """The app with the launcher in its file; where it is, its FHIR base URL, and the options of a launch."""
    port = free_port()
    jwks_url = f"http://127.0.0.1:{port}/smart/.well-known/jwks.json"
    chosen = options(kind, jwks_url if method != "public" else "")
    iss = f"{launcher}/fhir" if kind == EHR_LAUNCH else f"{launcher}/sim/{chosen}/fhir"
    entry = {"iss": iss, "client_id": "therapy-cds", "method": method, "algorithm": algorithm, "scopes": SCOPES}
    with serving(folder, TestEhr(base=iss), entry, keys=folder / "keys", port=port) as place:
        place.sign()
        yield place, iss, chosen


@pytest.mark.parametrize("kind", [EHR_LAUNCH, STANDALONE], ids=["ehr", "standalone"])
@pytest.mark.parametrize(("method", "algorithm"), CLIENTS)
def test_assessment_is_shown_when_the_launcher_opens_the_app(
    launcher: str, tmp_path: Path, kind: int, method: str, algorithm: str
) -> None:
    with known_to(launcher, tmp_path, kind, method, algorithm) as (place, iss, chosen):
        shown = place.launch(chosen if kind == EHR_LAUNCH else None, iss=iss)
        assert shown.status_code == 200, shown.text
        assert "20 of 14" in shown.text
        assert "granted less" not in shown.text


def test_token_is_renewed_when_it_has_run_out(launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Session] = []
    found = Store.find

    def run_out(store: Store, handle: str, browser: str) -> Session | None:
        session = found(store, handle, browser)
        assert session is not None
        seen.append(session)
        return replace(session, token_until=0)

    with known_to(launcher, tmp_path, EHR_LAUNCH, "private_key_jwt", "ES384") as (place, iss, chosen):
        url = place.launch(chosen, iss=iss).url
        monkeypatch.setattr(Store, "find", run_out)
        for _ in range(2):
            # Its tokens are dated to the second: two of one second are the same.
            time.sleep(1.1)
            assert "20 of 14" in place.browser.get(url, timeout=30).text
    assert len({session.access_token for session in seen}) == 2


def test_score_and_letter_are_on_file_when_they_are_saved(launcher: str, tmp_path: Path, fhir_server: str) -> None:
    server = FhirServer(fhir_server)
    with known_to(launcher, tmp_path, EHR_LAUNCH, "private_key_jwt", "RS384") as (place, iss, chosen):
        url = place.launch(chosen, iss=iss).url
        form = {"day": "2024-08-12", "score": "41", "action": "save"}
        saved = [place.browser.post(f"{url}/measures/ihot-12", data=form, timeout=30)]
        saved.append(place.browser.post(f"{url}/letter", timeout=30))
        told = [re.findall(r"Saved to the record: (\w+/[\w-]+)", each.text) for each in saved]
        (score,), (letter,) = told
        try:
            assert server.read(score)["performer"] == [{"reference": "Practitioner/example"}]
            assert server.read(letter)["subject"] == {"reference": "Patient/f000"}
        finally:
            # The server is everybody's in a test run: leave it as it was.
            for reference in (score, letter):
                server.write("DELETE", reference, None)


def test_app_says_so_when_the_launcher_cannot_verify_its_assertion(launcher: str, tmp_path: Path) -> None:
    with known_to(launcher, tmp_path, EHR_LAUNCH, "private_key_jwt", "RS384") as (place, iss, _):
        foreign = requests.get(f"{launcher}/fhir/.well-known/openid-configuration", timeout=10).json()["jwks_uri"]
        refused = place.launch(options(EHR_LAUNCH, foreign), iss=iss)
        assert (refused.status_code, "refused it (invalid_client)" in refused.text) == (502, True)
