"""Clients' keys: which are taken, how they are fetched, when anew, and what an address that misbehaves can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests

from cds.ehr.client import pooled_session
from cds.ehr.reach import Reach
from hooks import client_keys
from hooks.client_keys import (
    AGAIN_SECONDS,
    FAILED_SECONDS,
    FRESH_SECONDS,
    MAX_BYTES,
    STALE_SECONDS,
    PublicKey,
    RemoteKeys,
    UnusableKeys,
    fetch_jwks,
    read_jwks,
)
from tests.cds.ehr.misbehaving import Answer, Handler, misbehaving, replying
from tests.hooks.signing import ec_key, jwk, jwks, rsa_key

GOOD = jwks(jwk(ec_key(), "ec"))


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        (jwk(rsa_key(), "a"), {"RS256", "RS384", "RS512", "PS384"}),
        (jwk(rsa_key(), "a", alg="RS384", use="sig", key_ops=["verify"]), {"RS384"}),
        (jwk(ec_key(), "a"), {"ES384"}),
        (jwk(ec_key(curve="secp256r1"), "a"), {"ES256"}),
        (jwk(ec_key(), "a", alg="ES256"), set()),
    ],
)
def test_a_key_is_for_its_own_algorithms_only_when_it_is_read(key: dict[str, Any], fits: set[str]) -> None:
    (found,) = read_jwks(jwks(key))
    known = ("RS256", "RS384", "RS512", "PS384", "ES256", "ES384", "ES512", "HS256", "HS384", "none", "")
    assert {algorithm for algorithm in known if found.fits(algorithm)} == fits
    assert found.kid == "a"


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "kid": "a", "k": "c2VjcmV0"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        jwk(rsa_key("short", 1024), "a"),
        jwk(rsa_key(), "a", use="enc"),
        jwk(rsa_key(), "a", key_ops=["encrypt"]),
        jwk(rsa_key(), "a", key_ops="verify"),
        jwk(rsa_key(), "a", n="AQAB"),
        jwk(rsa_key(), "a", n=None),
        jwk(rsa_key(), "a", e=7),
        jwk(rsa_key(), "a") | {"kid": 7},
        jwk(rsa_key(), "a", d="AQAB"),
        jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"kid": "a", "key_ops": ["verify"]},
        jwt.algorithms.ECAlgorithm.to_jwk(ec_key(), as_dict=True) | {"kid": "a"},
        jwk(ec_key(), "a", x="AQAB"),
        jwk(ec_key(), "a", crv="P-256"),
        jwk(ec_key(), "a", crv="none"),
        "a",
        None,
    ],
)
def test_a_key_is_left_out_when_it_cannot_be_used(key: object) -> None:
    assert [found.kid for found in read_jwks({"keys": [key, *GOOD["keys"]]})] == ["ec"]
    with pytest.raises(UnusableKeys, match="no public RSA or EC key"):
        read_jwks({"keys": [key]})


def test_a_bare_list_is_taken_when_its_keys_can_be_read() -> None:
    assert [key.kid for key in read_jwks(GOOD["keys"])] == ["ec"]


@pytest.mark.parametrize("document", [None, "keys", {}, {"keys": {}}, {"keys": []}, [], [[]], ["a"], 7])
def test_a_document_is_refused_when_it_is_no_jwks(document: object) -> None:
    with pytest.raises(UnusableKeys):
        read_jwks(document)


# ------------------------------------------------------------------------------------------------- fetching


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with pooled_session(4, Reach(loopback=True)) as opened:
        yield opened


def test_keys_come_when_their_address_answers(session: requests.Session) -> None:
    with misbehaving(replying(GOOD)) as server:
        assert [key.kid for key in fetch_jwks(session, server.base)] == ["ec"]
        assert "Authorization" not in server.seen[0].headers


def dripping(handler: Handler) -> None:
    """Begin at once, and never end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def silent(handler: Handler) -> None:
    handler.wait(30)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (replying(GOOD, 500), "it answered 500"),
        (replying(GOOD, 404), "it answered 404"),
        (replying(b"<html>"), "it is no JSON"),
        (replying(b"[" * 100_000), "it is no JSON"),
        (replying(b"\xff\xfe"), "it is no JSON"),
        (replying({"keys": []}), "no public RSA or EC key"),
        (replying(GOOD | {"more": "x" * MAX_BYTES}), "larger than 256 KiB"),
        (dripping, "could not be read"),
        (silent, "ReadTimeout"),
    ],
)
def test_no_keys_come_when_their_address_misbehaves(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, answer: Answer, why: str
) -> None:
    monkeypatch.setattr(client_keys, "FETCH_SECONDS", 0.3)
    with misbehaving(answer) as server, pytest.raises(UnusableKeys, match=why) as caught:
        fetch_jwks(session, server.base)
    assert "127.0.0.1" not in str(caught.value)


def test_no_redirect_is_followed_when_an_address_sends_elsewhere(session: requests.Session) -> None:
    with misbehaving(replying(GOOD)) as other:
        elsewhere = replying({}, 302, {"Location": f"{other.base}/jwks.json"})
        with misbehaving(elsewhere) as server, pytest.raises(UnusableKeys, match="it answered 302"):
            fetch_jwks(session, server.base)
        assert other.seen == []


def test_nothing_is_sent_when_an_address_is_private() -> None:
    with misbehaving(replying(GOOD)) as server, pooled_session(1, Reach()) as strict:
        with pytest.raises(UnusableKeys):
            fetch_jwks(strict, server.base)
        assert server.seen == []


def test_no_keys_come_when_nobody_listens(session: requests.Session) -> None:
    with misbehaving(replying(GOOD)) as server:
        base = server.base
    with pytest.raises(UnusableKeys, match="could not be read"):
        fetch_jwks(session, base)


# -------------------------------------------------------------------------------------------------- keeping


class Place:
    """An address whose keys change, with a clock that the test sets."""

    def __init__(self, *kids: str) -> None:
        self.kids: tuple[str, ...] | None = kids
        self.asked = 0
        self.time = 1000.0
        self.keys = RemoteKeys("https://ehr.example.org/jwks.json", self._fetch, lambda: self.time)

    def _fetch(self, url: str) -> tuple[PublicKey, ...]:
        assert url == self.keys.url
        self.asked += 1
        if self.kids is None:
            raise UnusableKeys("it is down")
        return tuple(PublicKey(kid, ec_key().public_key()) for kid in self.kids)

    def find(self, kid: str) -> list[str]:
        return [key.kid for key in self.keys.find(kid)]


def test_keys_are_fetched_once_when_they_are_asked_for_often() -> None:
    place = Place("a", "b")
    assert [place.find("a"), place.find("b"), place.find("a"), place.find("")] == [["a"], ["b"], ["a"], ["a", "b"]]
    assert place.asked == 1


def test_the_address_is_asked_once_more_when_a_key_is_new() -> None:
    place = Place("a")
    place.find("a")
    place.kids = ("a", "new")
    place.time += AGAIN_SECONDS
    assert place.find("new") == ["new"]
    assert place.asked == 2


def test_the_address_is_left_alone_when_made_up_keys_are_asked_for() -> None:
    place = Place("a")
    assert [place.find(f"made-up-{number}") for number in range(100)] == [[]] * 100
    assert place.asked == 1
    place.time += AGAIN_SECONDS
    assert [place.find(f"made-up-{number}") for number in range(100)] == [[]] * 100
    assert place.asked == 2


def test_a_withdrawn_key_is_forgotten_when_the_keys_are_no_longer_fresh() -> None:
    place = Place("a")
    assert place.find("a") == ["a"]
    place.kids = ("b",)
    assert place.find("a") == ["a"]
    place.time += FRESH_SECONDS + 1
    assert place.find("a") == []


def test_keys_stay_in_use_for_a_day_when_their_address_is_down(caplog: pytest.LogCaptureFixture) -> None:
    place = Place("a")
    place.find("a")
    place.kids = None
    place.time += FRESH_SECONDS + 1
    assert [place.find("a") for _ in range(5)] == [["a"]] * 5
    assert place.asked == 2
    assert "no new keys from https://ehr.example.org/jwks.json: it is down" in caplog.text
    place.time += STALE_SECONDS
    assert place.find("a") == []


def test_the_address_is_tried_again_soon_when_there_are_no_keys_yet() -> None:
    place = Place()
    place.kids = None
    assert [place.find("a"), place.find("a")] == [[], []]
    assert place.asked == 1
    place.kids = ("a",)
    place.time += FAILED_SECONDS
    assert place.find("a") == ["a"]


def test_one_fetch_serves_all_when_many_calls_come_at_once() -> None:
    began, go = threading.Event(), threading.Event()
    place = Place("a")
    fetch = place._fetch

    def slowly(url: str) -> tuple[PublicKey, ...]:
        began.set()
        go.wait(5)
        return fetch(url)

    place.keys._fetch = slowly
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(place.find("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert began.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert found == [["a"]] * 8
    assert place.asked == 1


def test_a_call_does_not_wait_when_another_renews_keys_that_it_has() -> None:
    began, go = threading.Event(), threading.Event()
    place = Place("a")
    place.find("a")
    fetch = place._fetch

    def slowly(url: str) -> tuple[PublicKey, ...]:
        began.set()
        go.wait(5)
        return fetch(url)

    place.keys._fetch = slowly
    place.time += FRESH_SECONDS + 1
    other = threading.Thread(target=place.find, args=("a",))
    other.start()
    assert began.wait(5)
    since = time.monotonic()
    assert place.find("a") == ["a"]
    assert not go.is_set()
    assert time.monotonic() - since < 2
    go.set()
    other.join(5)
