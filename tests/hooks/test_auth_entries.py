"""What the entry of one client may allow, and that it allows it to nobody else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.hooks.signed_calls import (
    KNOWN,
    application,
    calling,
    ec_256,
    for_caller,
    known,
    reason,
    told_nothing,
)
from tests.hooks.signing import (
    bearer,
    clients_file,
    ec_key,
    entry,
    jwk,
    jwks,
    production,
    rsa_key,
    token,
)


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
