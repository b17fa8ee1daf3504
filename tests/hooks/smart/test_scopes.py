"""Which scopes are missing, whichever way they are written."""

from __future__ import annotations

import pytest

from hooks.smart.scopes import missing, sentences


@pytest.mark.parametrize(
    ("asked", "granted", "gone"),
    [
        ("launch openid patient/Patient.r", "openid patient/Patient.r", ""),
        ("patient/Observation.rs", "patient/Observation.read", ""),
        ("patient/Observation.rs", "patient/*.*", ""),
        ("patient/Observation.rs", "user/Observation.rs", ""),
        ("user/Observation.rs", "patient/Observation.rs", "user/Observation.rs"),
        ("patient/Observation.rs", "patient/Observation.r", "patient/Observation.rs"),
        ("patient/Observation.rs", "patient/Observation.rs?category=survey", "patient/Observation.rs"),
        ("patient/Observation.c", "patient/Observation.rs", "patient/Observation.c"),
        ("patient/Observation.c", "patient/Observation.write", ""),
        ("openid fhirUser", "", "openid fhirUser"),
        ("online_access offline_access launch/patient", "", ""),
    ],
)
def test_what_nothing_covers_is_missing_when_scopes_are_granted(asked: str, granted: str, gone: str) -> None:
    assert missing(asked.split(), granted.split()) == tuple(gone.split())


def test_each_thing_is_said_once_when_several_scopes_are_missing() -> None:
    said = sentences(["openid", "fhirUser", "patient/Observation.c", "patient/*.rs", "made/up"])
    assert len(said) == 4
    assert "cannot be saved" in said[1]
    assert "Any resource" in said[2]
