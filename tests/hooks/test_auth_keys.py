"""Clients' keys from an address: which is asked, how often, and which never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.cds.ehr.misbehaving import Misbehaving, misbehaving, replying
from tests.hooks.signed_calls import (
    GOOD,
    KNOWN,
    application,
    calling,
    for_caller,
    known,
    reason,
    told_nothing,
)
from tests.hooks.signing import (
    bearer,
    by_hand,
    clients_file,
    development,
    ec_key,
    entry,
    jwk,
    jwks,
    production,
    rsa_key,
    token,
)


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
