"""Which tokens are refused, that nothing is told of why, and what the log says."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable

import jwt
import pytest
import time_machine
from flask import Flask

from hooks.auth import MAX_TOKEN, SKEW_SECONDS
from hooks.clients import MAX_AGE_SECONDS
from tests.hooks.calls import Json
from tests.hooks.signed_calls import (
    GOOD,
    KNOWN,
    NOW,
    application,
    calling,
    for_caller,
    known,
    reason,
    told_nothing,
)
from tests.hooks.signing import (
    BASE,
    ISS,
    bearer,
    by_hand,
    claims,
    clients_file,
    ec_key,
    pem,
    production,
    rsa_key,
    token,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service in production with one client, whose keys are in the file."""
    return application(production(clients_file(tmp_path_factory.mktemp("clients"))))


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
