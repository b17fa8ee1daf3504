"""EHRs are asked only where they may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.ehr.client import pooled_session
from cds.ehr.reach import Reach
from hooks.smart.discovery import Discovery
from hooks.smart.errors import EhrFailed
from hooks.smart.keys import Keys
from hooks.smart.registration import Ehr
from hooks.smart.token import TokenClient
from tests.hooks.smart.ehr import running_ehr


def test_nothing_is_sent_when_the_name_leads_to_a_private_address(keys_folder: Path) -> None:
    session = pooled_session(2, Reach(loopback=False))
    with running_ehr() as ehr:
        with pytest.raises(EhrFailed, match="could not be had"):
            Discovery(session, production=False).configuration(ehr.base)
        tokens = TokenClient(session, Keys(keys_folder), "http://127.0.0.1:1")
        with pytest.raises(EhrFailed, match="could not be reached"):
            tokens.redeem(f"{ehr.base}/auth/token", Ehr("a", ehr.base, "app"), "code", "verifier")
        assert ehr.asked == []


def test_plain_http_is_refused_when_it_is_production() -> None:
    with running_ehr() as ehr:
        with pytest.raises(EhrFailed, match="not safe"):
            Discovery(pooled_session(2), production=True).configuration(ehr.base)
        assert ehr.asked == []


def test_the_configuration_is_asked_for_again_when_it_was_of_no_use() -> None:
    discovery = Discovery(pooled_session(2), production=False)
    with running_ehr() as ehr:
        ehr.faults.methods = None
        with pytest.raises(EhrFailed, match="PKCE"):
            discovery.configuration(ehr.base)
        ehr.faults.methods = ["S256"]
        assert discovery.configuration(ehr.base).token_endpoint == f"{ehr.base}/auth/token"
