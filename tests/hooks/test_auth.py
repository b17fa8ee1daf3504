"""Who is let in, who is not, and what is told of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
import time_machine
from flask import Flask, g, jsonify
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.errors import TechnicalError
from hooks.app import create_app
from hooks.auth import MAX_TOKEN, SKEW_SECONDS
from hooks.clients import MAX_AGE_SECONDS
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Misbehaving, misbehaving, replying
from tests.hooks.calls import ORIGIN, Json, request
from tests.hooks.signing import (
    BASE,
    ELSEWHERE,
    ISS,
    SERVICE,
    bearer,
    by_hand,
    claims,
    clients_file,
    development,
    ec_key,
    entry,
    jwk,
    jwks,
    pem,
    production,
    rsa_key,
    token,
)

Call = Callable[..., TestResponse]
NOW = 1_800_000_000
FEEDBACK = f"{SERVICE}/feedback"
KNOWN = {"name": "General Hospital", "iss": ISS}


def caller() -> Any:
    """Who the service thinks is calling."""
    client = g.client
    return jsonify({"name": client.name, "iss": client.iss, "configuration": dict(client.configuration)})


def application(settings: Settings) -> Flask:
    """The application, with an address that tells who called."""
    app = create_app(settings)
    app.add_url_rule("/caller", view_func=caller)
    return app


def calling(app: Flask, path: str = "/caller", method: str = "GET", **headers: str) -> TestResponse:
    """A call from elsewhere, as a browser's EHR makes it."""
    sent = {"Origin": ORIGIN} | headers
    return app.test_client().open(path, method=method, headers=sent, environ_base=ELSEWHERE)


def known(response: TestResponse) -> Json:
    """Who was let in."""
    assert response.status_code == 200, response.get_data(as_text=True)
    found: Json = response.get_json()
    return {name: found[name] for name in ("name", "iss")}


def told_nothing(response: TestResponse) -> None:
    """Check that a refusal is the one that all get."""
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    text = "This service does not know the caller"
    issue = {"severity": "error", "code": "login", "details": {"text": text}, "diagnostics": text}
    assert response.get_json() == {"resourceType": "OperationOutcome", "issue": [issue]}


def reason(caplog: pytest.LogCaptureFixture) -> str:
    """Why the only refusal was, as the log has it."""
    (found,) = [
        record for record in caplog.records if record.name == "hooks.auth" and record.levelno >= logging.WARNING
    ]
    return found.getMessage().removeprefix("refused a call: ")


for_caller = partial(claims, "/caller")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service in production with one client, whose keys are in the file."""
    return application(production(clients_file(tmp_path_factory.mktemp("clients"))))


# ------------------------------------------------------------------------------------------------ let in


@pytest.mark.parametrize(("alg", "key", "kid"), [("ES384", ec_key(), "ec"), ("RS384", rsa_key(), "rsa")])
def test_a_client_is_known_when_its_token_is_right(app: Flask, alg: str, key: Any, kid: str) -> None:
    assert known(calling(app, **bearer(token(for_caller(), key, alg, {"kid": kid})))) == KNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": f"{BASE}/caller/"},
        {"aud": [f"{BASE}/caller"]},
        {"aud": ["https://elsewhere.example.org", f"{BASE}/caller"]},
        {"tenant": "any"},
        {"sub": 7},
        {"exp": time.time() + 300.5, "iat": time.time() - 0.5},
    ],
)
def test_a_client_is_known_when_its_token_says_it_in_another_way(app: Flask, changes: Json) -> None:
    assert known(calling(app, **bearer(token(for_caller(**changes))))) == KNOWN


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_client_is_known_when_the_scheme_is_written_otherwise(app: Flask, scheme: str) -> None:
    assert known(calling(app, Authorization=f"{scheme} {token(for_caller())}")) == KNOWN


def test_an_order_is_answered_when_production_knows_the_client(app: Flask) -> None:
    client = app.test_client()
    answer = client.post(SERVICE, json=request(), headers=bearer(token()), environ_base=ELSEWHERE)
    assert answer.status_code == 200
    assert len(answer.get_json()["cards"]) == 3
    listed = client.get("/cds-services", headers=bearer(token(claims("/cds-services"))), environ_base=ELSEWHERE)
    assert listed.get_json()["services"]


def test_a_slash_at_the_end_is_no_other_address_when_a_client_calls_with_it(app: Flask) -> None:
    listed = calling(app, "/cds-services/", **bearer(token(claims("/cds-services"))))
    assert listed.status_code == 200


def test_the_public_address_counts_when_a_proxy_names_another_host(app: Flask) -> None:
    sent = bearer(token(for_caller())) | {"Host": "internal:8000", "X-Forwarded-Host": "evil.example.org"}
    assert known(calling(app, **sent)) == KNOWN
    told_nothing(calling(app, **(sent | bearer(token(for_caller(aud="http://internal:8000/caller"))))))


def test_the_configuration_is_handed_on_when_the_entry_has_one(tmp_path: Path) -> None:
    wanted = {"max-cards": 2, "coverage-info": False}
    app = application(production(clients_file(tmp_path, entry(**{"card-configuration": wanted}))))
    assert calling(app, **bearer(token(for_caller()))).get_json()["configuration"] == wanted


# --------------------------------------------------------------------------------------------- refusals


def hmac_with_the_public_key() -> str:
    """The oldest trick: the public key as the secret of an HMAC."""
    signed = by_hand({"alg": "HS384", "typ": "JWT", "kid": "rsa"}, for_caller()).rpartition(".")[0]
    return by_hand(
        {"alg": "HS384", "typ": "JWT", "kid": "rsa"},
        json.loads(_payload(signed)),
        hmac.new(pem(rsa_key()), signed.encode(), hashlib.sha384).digest(),
    )


def _payload(signed: str) -> bytes:
    import base64

    part = signed.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def cut(text: str) -> str:
    """A token whose claims were changed after it was signed."""
    head, _, signature = text.split(".")
    return f"{head}.{by_hand({}, for_caller(aud=[BASE + '/caller'])).split('.')[1]}.{signature}"


GOOD = {"alg": "ES384", "typ": "JWT", "kid": "ec"}
ec_256 = partial(ec_key, "ec-256", "secp256r1")
TOKENS: dict[str, tuple[Callable[[], str], str]] = {
    "garbage": (lambda: "garbage", "not-a-token (client unknown, kid -)"),
    "empty": (lambda: "", "not-a-token (client unknown, kid -)"),
    "three empty parts": (lambda: "..", "not-a-token (client unknown, kid -)"),
    "no base64": (lambda: "a.b.c", "not-a-token (client unknown, kid -)"),
    "letters beyond ASCII": (lambda: "é.é.é", "not-a-token (client unknown, kid -)"),
    "header is a list": (lambda: by_hand([], claims()), "not-a-token (client unknown, kid -)"),  # type: ignore[arg-type]
    "no alg": (lambda: by_hand({"typ": "JWT", "kid": "ec"}, for_caller()), "not-a-token (client unknown, kid -)"),
    "kid is a number": (lambda: by_hand(GOOD | {"kid": 7}, for_caller()), "not-a-token (client unknown, kid -)"),
    "no issuer": (lambda: token(for_caller(iss=None)), "not-a-token (client unknown, kid -)"),
    "too long": (lambda: token(for_caller(x="x" * MAX_TOKEN)), "not-a-token (client unknown, kid -)"),
    "nested without end": (
        lambda: ".".join((by_hand(GOOD, {}).split(".")[0], "W1tb" * 1500, "x")),
        "not-a-token (client unknown, kid -)",
    ),
    "unknown issuer": (
        lambda: token(for_caller(iss="https://evil.example.org")), "unknown-issuer (client unknown, kid -)",
    ),
    "issuer but for a slash": (lambda: token(for_caller(iss=f"{ISS}/")), "unknown-issuer (client unknown, kid -)"),
    "alg none": (lambda: by_hand(GOOD | {"alg": "none"}, for_caller()), "algorithm (client General Hospital, kid ec)"),
    "alg NONE": (lambda: by_hand(GOOD | {"alg": "NONE"}, for_caller()), "algorithm (client General Hospital, kid ec)"),
    "HMAC": (hmac_with_the_public_key, "algorithm (client General Hospital, kid rsa)"),
    "RS256": (
        lambda: token(for_caller(), rsa_key(), "RS256", {"kid": "rsa"}), "algorithm (client General Hospital, kid rsa)",
    ),
    "no kid": (lambda: token(for_caller(), header={"kid": ""}), "no-kid (client General Hospital, kid -)"),
    "no typ": (lambda: token(for_caller(), header={"typ": ""}), "no-typ (client General Hospital, kid ec)"),
    "other typ": (lambda: token(for_caller(), header={"typ": "at+jwt"}), "no-typ (client General Hospital, kid ec)"),
    "unknown kid": (
        lambda: token(for_caller(), header={"kid": "new"}), "unknown-kid (client General Hospital, kid new)",
    ),
    "kid that would break the log": (
        lambda: token(for_caller(), header={"kid": "a\nb" + "c" * 90}),
        f"unknown-kid (client General Hospital, kid a?b{'c' * 61})",
    ),
    "key of another type": (
        lambda: token(for_caller(), ec_key(), "ES384", {"kid": "rsa"}),
        "wrong-key (client General Hospital, kid rsa)",
    ),
    "another's key": (
        lambda: token(for_caller(), ec_key("other")), "bad-signature (client General Hospital, kid ec)",
    ),
    "claims changed": (
        lambda: cut(token(for_caller())), "bad-signature (client General Hospital, kid ec)",
    ),
    "no signature": (
        lambda: token(for_caller()).rpartition(".")[0] + ".", "bad-signature (client General Hospital, kid ec)",
    ),
    "unknown crit": (
        lambda: token(for_caller(), header={"crit": ["x"], "x": 1}), "bad-claims (client General Hospital, kid ec)",
    ),
    "wrong audience": (
        lambda: token(for_caller(aud="https://elsewhere.example.org/caller")),
        "wrong-audience (client General Hospital, kid ec)",
    ),
    "audience of another address": (
        lambda: token(claims("/cds-services")), "wrong-audience (client General Hospital, kid ec)",
    ),
    "audience is the base only": (
        lambda: token(for_caller(aud=BASE)), "wrong-audience (client General Hospital, kid ec)",
    ),
    "audience is a list of others": (
        lambda: token(for_caller(aud=["a", BASE])), "wrong-audience (client General Hospital, kid ec)",
    ),
    "lives too long": (
        lambda: token(for_caller(exp=int(time.time()) + MAX_AGE_SECONDS + 1)),
        "lives-too-long (client General Hospital, kid ec)",
    ),
    "valid only later": (
        lambda: token(for_caller(nbf=int(time.time()) + 120)), "not-valid-yet (client General Hospital, kid ec)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", TOKENS)
def test_a_token_is_refused_without_a_reason_when_it_is_not_right(
    app: Flask, caplog: pytest.LogCaptureFixture, made: str
) -> None:
    make, why = TOKENS[made]
    sent = make()
    with caplog.at_level(logging.DEBUG):
        told_nothing(calling(app, **bearer(sent)))
    assert reason(caplog) == why
    assert not sent or sent not in caplog.text
    assert "jti" not in caplog.text


@pytest.mark.parametrize("missing", ["aud", "exp", "iat", "jti"])
def test_a_token_is_refused_when_a_claim_is_missing(app: Flask, caplog: pytest.LogCaptureFixture, missing: str) -> None:
    told_nothing(calling(app, **bearer(token(for_caller(**{missing: None})))))
    assert reason(caplog).split(" ")[0] in ("bad-claims", "wrong-audience")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": "soon"},
        {"exp": str(2**40)},
        {"exp": [1]},
        {"exp": float("inf")},
        {"iat": float("nan")},
        {"iat": float("-inf")},
        {"iat": "now"},
        {"jti": ""},
        {"jti": 7},
        {"jti": ["a"]},
        {"aud": {}},
        {"aud": [7]},
        {"tenant": 7},
        {"nbf": "x"},
    ],
)
def test_a_token_is_refused_when_a_claim_is_of_another_kind(app: Flask, changes: Json) -> None:
    said = json.dumps(for_caller() | changes).encode()
    told_nothing(calling(app, **bearer(jwt.PyJWS().encode(said, ec_key(), "ES384", GOOD))))


@pytest.mark.parametrize(
    ("shift", "is_known"),
    [(300 + SKEW_SECONDS - 1, True), (300 + SKEW_SECONDS, False), (-SKEW_SECONDS, True), (-SKEW_SECONDS - 1, False)],
)
def test_a_token_is_refused_when_it_has_expired_or_is_from_the_future(
    app: Flask, caplog: pytest.LogCaptureFixture, shift: int, is_known: bool
) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        sent = bearer(token(for_caller()))
        clock.shift(shift)
        response = calling(app, **sent)
    if is_known:
        assert known(response) == KNOWN
    else:
        told_nothing(response)
        assert reason(caplog).split(" ")[0] == ("expired" if shift > 0 else "not-valid-yet")


@pytest.mark.parametrize(
    "sent", [{}, {"Authorization": ""}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cds-services"),
        ("HEAD", "/cds-services"),
        ("POST", SERVICE),
        ("POST", FEEDBACK),
        ("GET", "/fhir/PlanDefinition"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
        ("DELETE", "/health/nothing"),
    ],
)
@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.7", "127.0.0.1"])
def test_nobody_is_let_in_without_a_token_when_it_is_production(
    app: Flask, sent: dict[str, str], method: str, path: str, address: str
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "Origin": ORIGIN} | sent
    response = app.test_client().open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": address})
    if method == "HEAD":
        assert response.status_code == 401
    else:
        told_nothing(response)


def test_health_is_open_when_it_is_production(app: Flask) -> None:
    assert calling(app, "/health/live").status_code == 200
    assert calling(app, "/health/ready").status_code == 200


def test_metrics_are_for_this_machine_and_for_clients_when_it_is_production(app: Flask) -> None:
    assert app.test_client().get("/metrics").status_code == 200
    assert calling(app, "/metrics", **bearer(token(claims("/metrics")))).status_code == 200
    told_nothing(calling(app, "/metrics"))
    told_nothing(app.test_client().get("/cds-services", headers={"Origin": ORIGIN}))


@pytest.mark.parametrize("path", ["/cds-services", SERVICE, FEEDBACK])
def test_a_preflight_needs_no_token_when_it_is_production(app: Flask, path: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    response = calling(app, path, "OPTIONS", **asked)
    assert response.status_code != 401
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()


# ---------------------------------------------------------------------------------------- used before


def test_a_token_is_refused_when_it_was_used_before(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    sent = bearer(token(for_caller()))
    assert known(calling(app, **sent)) == KNOWN
    told_nothing(calling(app, **sent))
    assert reason(caplog) == "used-before (client General Hospital, kid ec)"


def test_a_token_is_refused_when_only_its_id_was_used_before(app: Flask) -> None:
    jti = str(uuid4())
    assert known(calling(app, **bearer(token(for_caller(jti=jti))))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti, exp=int(time.time()) + 200)))))


def test_an_id_is_still_free_when_a_bad_token_named_it(app: Flask) -> None:
    jti = str(uuid4())
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti), ec_key("other")))))
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti, aud="x")))))
    assert known(calling(app, **bearer(token(for_caller(jti=jti))))) == KNOWN


def test_a_token_may_come_again_when_the_entry_is_for_a_test_kit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(production(clients_file(tmp_path, entry(**{"reuse-tokens": True}))))
    assert "client General Hospital: its tokens may be used again until they expire (reuse-tokens)" in caplog.text
    sent = bearer(token(for_caller()))
    assert [known(calling(app, **sent)) for _ in range(3)] == [KNOWN] * 3
    with time_machine.travel(time.time() + 400):
        told_nothing(calling(app, **sent))


class Away:
    """A memory that cannot be reached."""

    def first_time(self, issuer: str, jti: str, until: int) -> bool:
        raise TechnicalError("The service cannot tell whether this token was used before", remedy="Try again")


def test_nobody_is_let_in_when_used_tokens_cannot_be_looked_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.extensions["therapy-cds"].callers, "_seen", Away())
    response = calling(app, **bearer(token(for_caller())))
    assert response.status_code == 503
    assert response.get_json()["issue"][0]["details"]["coding"][0]["code"] == "CDS-400"
    told_nothing(calling(app, **bearer(token(for_caller(), ec_key("other")))))


# ------------------------------------------------------------------------------- what an entry may allow


@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS384"])
def test_another_algorithm_is_taken_when_only_the_entry_allows_it(tmp_path: Path, alg: str) -> None:
    app = application(production(clients_file(tmp_path, entry(algorithms=[alg]))))
    assert known(calling(app, **bearer(token(for_caller(), rsa_key(), alg, {"kid": "rsa"})))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(), rsa_key(), "RS384", {"kid": "rsa"}))))


def test_a_shorter_curve_is_taken_when_only_the_entry_allows_it(tmp_path: Path) -> None:
    keys = jwks(jwk(ec_256(), "small"), jwk(ec_key(), "ec"))
    app = application(production(clients_file(tmp_path, entry(keys=keys, algorithms=["ES256", "ES384"]))))
    assert known(calling(app, **bearer(token(for_caller(), ec_256(), "ES256", {"kid": "small"})))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(), ec_256(), "ES256", {"kid": "ec"}))))


def test_an_odd_audience_is_taken_when_the_entry_lists_it(tmp_path: Path) -> None:
    app = application(production(clients_file(tmp_path, entry(audience="sand_man"))))
    assert known(calling(app, **bearer(token(for_caller(aud="sand_man"))))) == KNOWN
    assert known(calling(app, **bearer(token(for_caller())))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(aud="iron_man")))))


def test_a_token_may_live_for_a_day_when_the_entry_says_so(tmp_path: Path) -> None:
    app = application(production(clients_file(tmp_path, entry(**{"max-age-seconds": 86_400}))))
    now = int(time.time())
    assert known(calling(app, **bearer(token(for_caller(iat=now, exp=now + 86_400))))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(iat=now, exp=now + 86_401)))))


@pytest.mark.parametrize(("tenant", "is_known"), [("north", True), ("south", True), ("west", False), (None, False)])
def test_other_tenants_are_refused_when_the_entry_lists_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tenant: str | None, is_known: bool
) -> None:
    app = application(production(clients_file(tmp_path, entry(tenant=["north", "south"]))))
    response = calling(app, **bearer(token(for_caller(tenant=tenant))))
    if is_known:
        assert known(response) == KNOWN
    else:
        told_nothing(response)
        assert reason(caplog) == "tenant (client General Hospital, kid ec)"


def test_a_poor_header_is_taken_when_the_entry_is_lenient(tmp_path: Path) -> None:
    app = application(production(clients_file(tmp_path, entry(**{"lenient-header": True}))))
    for header in ({"typ": ""}, {"typ": "jwt"}, {"kid": ""}, {"kid": "", "typ": ""}):
        assert known(calling(app, **bearer(token(for_caller(), header=header)))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(), header={"kid": "other"}))))
    keys = jwks(jwk(ec_key(), "a"), jwk(ec_key("other"), "b"))
    several = application(production(clients_file(tmp_path, entry(keys=keys, **{"lenient-header": True}))))
    told_nothing(calling(several, **bearer(token(for_caller(), header={"kid": ""}))))


def test_a_token_is_refused_when_two_keys_have_its_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = jwks(jwk(ec_key(), "ec"), jwk(ec_key("other"), "ec"), jwk(rsa_key(), "ec"))
    app = application(production(clients_file(tmp_path, entry(keys=keys))))
    told_nothing(calling(app, **bearer(token(for_caller()))))
    assert reason(caplog) == "several-keys (client General Hospital, kid ec)"
    assert known(calling(app, **bearer(token(for_caller(), rsa_key(), "RS384")))) == KNOWN


def test_one_clients_key_is_not_anothers_when_both_are_known(tmp_path: Path) -> None:
    other = entry(name="Other", iss="https://other.example.org", keys=jwks(jwk(ec_key("other"), "ec")))
    app = application(production(clients_file(tmp_path, entry(), other)))
    said = for_caller(iss="https://other.example.org")
    assert known(calling(app, **bearer(token(said, ec_key("other"))))) == {"name": "Other", "iss": said["iss"]}
    told_nothing(calling(app, **bearer(token(said))))


# ----------------------------------------------------------------------------- keys from an address


@pytest.fixture
def ehr() -> Iterator[Misbehaving]:
    """An EHR that publishes its keys."""
    with misbehaving(replying(jwks(jwk(ec_key(), "ec")))) as running:
        yield running


def fetching(folder: Path, *addresses: str, **more: Any) -> Flask:
    """A service that calls from elsewhere have to show tokens to, and that fetches keys on this machine."""
    given = {"keys": None, "jku": list(addresses)} | more
    return application(development(clients_file(folder, entry(**given))))


@pytest.mark.parametrize("named", [True, False])
def test_keys_are_fetched_when_the_entry_names_their_address(tmp_path: Path, ehr: Misbehaving, named: bool) -> None:
    app = fetching(tmp_path, ehr.base)
    header = {"jku": ehr.base} if named else {}
    for _ in range(3):
        assert known(calling(app, **bearer(token(for_caller(), header=header)))) == KNOWN
    assert len(ehr.seen) == 1


def test_a_foreign_address_is_never_asked_when_a_token_names_it(
    tmp_path: Path, ehr: Misbehaving, caplog: pytest.LogCaptureFixture
) -> None:
    app = fetching(tmp_path, ehr.base)
    with misbehaving(replying(jwks(jwk(ec_key("evil"), "evil")))) as evil:
        for jku in (evil.base, f"{ehr.base}?x", f"{ehr.base}@{evil.base[7:]}"):
            caplog.clear()
            told_nothing(
                calling(app, **bearer(token(for_caller(), ec_key("evil"), header={"kid": "evil", "jku": jku})))
            )
            assert reason(caplog) == "foreign-jku (client General Hospital, kid evil)"
            assert jku not in caplog.text
        assert evil.seen == []
    assert ehr.seen == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(for_caller(iss="https://evil.example.org")),
        lambda: by_hand(GOOD | {"alg": "none"}, for_caller()),
        lambda: token(for_caller(), rsa_key(), "RS256"),
        lambda: token(for_caller(), header={"kid": ""}),
        lambda: token(for_caller(), header={"typ": ""}),
        lambda: "garbage",
    ],
)
def test_nothing_is_fetched_when_a_token_could_never_be_right(
    tmp_path: Path, ehr: Misbehaving, make: Callable[[], str]
) -> None:
    told_nothing(calling(fetching(tmp_path, ehr.base), **bearer(make())))
    assert ehr.seen == []


def test_an_address_is_not_asked_when_the_entry_holds_the_keys(tmp_path: Path, ehr: Misbehaving) -> None:
    app = application(production(clients_file(tmp_path)))
    assert known(calling(app, **bearer(token(for_caller(), header={"jku": ehr.base})))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(), header={"jku": ehr.base, "kid": "new"}))))
    assert ehr.seen == []


def test_the_second_address_is_asked_when_the_first_has_no_such_key(tmp_path: Path, ehr: Misbehaving) -> None:
    with misbehaving(replying(jwks(jwk(ec_key("other"), "other")))) as other:
        app = fetching(tmp_path, other.base, ehr.base)
        assert known(calling(app, **bearer(token(for_caller())))) == KNOWN
        told_nothing(calling(app, **bearer(token(for_caller(), header={"jku": other.base}))))


def test_a_new_key_is_taken_and_the_old_one_dropped_when_an_ehr_rotates(tmp_path: Path) -> None:
    published = [jwk(ec_key(), "ec")]
    clock = [1000.0]
    with misbehaving(lambda handler: handler.reply(jwks(*published))) as server:
        app = fetching(tmp_path, server.base)
        callers = app.extensions["therapy-cds"].callers
        for each in callers._remote.values():
            each._now = lambda: clock[0]
        new = {"kid": "new"}
        assert known(calling(app, **bearer(token(for_caller())))) == KNOWN
        clock[0] += 60
        published[:] = [jwk(ec_key("new"), "new")]
        assert known(calling(app, **bearer(token(for_caller(), ec_key("new"), header=new)))) == KNOWN
        told_nothing(calling(app, **bearer(token(for_caller()))))
        assert len(server.seen) == 2


def test_made_up_keys_cost_an_ehr_one_request_when_many_are_tried(tmp_path: Path, ehr: Misbehaving) -> None:
    app = fetching(tmp_path, ehr.base)
    for number in range(50):
        told_nothing(calling(app, **bearer(token(for_caller(), header={"kid": f"made-up-{number}"}))))
    assert len(ehr.seen) == 1
    assert known(calling(app, **bearer(token(for_caller())))) == KNOWN


def test_clients_are_refused_when_their_keys_were_never_to_be_had(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with misbehaving(replying({}, 503)) as down:
        app = fetching(tmp_path, down.base)
        told_nothing(calling(app, **bearer(token(for_caller()))))
    assert "it answered 503" in caplog.text
    assert "unknown-kid (client General Hospital, kid ec)" in caplog.text


# --------------------------------------------------------------------------------------- development


def here(app: Flask, **headers: str) -> TestResponse:
    return app.test_client().get("/caller", headers={"Origin": ORIGIN} | headers)


def test_this_machine_needs_no_token_when_it_is_development(tmp_path: Path) -> None:
    for settings in (Settings(), development(clients_file(tmp_path))):
        app = application(settings)
        assert known(here(app)) == {"name": "development", "iss": ""}
        told_nothing(calling(app))


def test_any_token_is_let_through_when_development_knows_no_clients() -> None:
    app = application(Settings())
    assert known(here(app, **bearer("garbage")))["name"] == "development"
    told_nothing(calling(app, **bearer(token(for_caller()))))


def test_a_token_is_looked_at_when_development_knows_clients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = application(development(clients_file(tmp_path)))
    assert known(here(app, **bearer(token(for_caller())))) == KNOWN
    told_nothing(here(app, **bearer(token(for_caller(), ec_key("other")))))
    told_nothing(here(app, **bearer(token(for_caller(aud="x")))))
    told_nothing(here(app, **bearer("garbage")))
    with caplog.at_level(logging.INFO):
        assert known(here(app, **bearer(token(for_caller(iss="http://localhost:8080/"))))) == {
            "name": "development",
            "iss": "",
        }
    assert "nobody knows the issuer" in caplog.text
    assert "localhost:8080" not in caplog.text


def test_a_client_may_call_from_elsewhere_when_development_knows_it(tmp_path: Path) -> None:
    app = application(development(clients_file(tmp_path)))
    assert known(calling(app, **bearer(token(for_caller())))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(iss="http://localhost:8080/")))))


def test_the_sandboxes_own_token_works_when_it_signs_as_it_does(tmp_path: Path) -> None:
    sandbox = entry(name="Sandbox", iss="https://sandbox.example.org", keys=jwks(jwk(ec_key(), "ec")))
    app = application(production(clients_file(tmp_path, sandbox)))
    client: FlaskClient = app.test_client()
    for method, path in (("GET", "/cds-services"), ("POST", SERVICE)):
        said = claims(path, iss="https://sandbox.example.org")
        headers = bearer(token(said, header={"jku": "https://sandbox.example.org/.well-known/jwks.json"}))
        body = request() if method == "POST" else None
        answer = client.open(path, method=method, json=body, headers=headers, environ_base=ELSEWHERE)
        assert answer.status_code == 200
