"""The app of one deployment, built once: its EHRs, keys, sessions, and the way in."""

from __future__ import annotations

from dataclasses import dataclass

import requests
from sqlalchemy import Engine

from cds.ledger.ledger import Ledger
from hooks.settings import Settings
from hooks.smart.cookie import BrowserCookie
from hooks.smart.discovery import Discovery
from hooks.smart.keys import Keys
from hooks.smart.launch import Launcher
from hooks.smart.registration import Ehr, read_ehrs
from hooks.smart.session import Store
from hooks.smart.token import TokenClient


@dataclass(frozen=True)
class Smart:
    """What the app's routes share."""

    ehrs: tuple[Ehr, ...]
    keys: Keys
    cookie: BrowserCookie
    launcher: Launcher


def smart_of(settings: Settings, session: requests.Session, engine: Engine, ledger: Ledger) -> Smart | None:
    """The app, where the file of EHRs that may launch it is set; SettingsError where that or the keys are of no use."""
    if settings.smart_servers is None:
        return None
    ehrs = read_ehrs(settings.smart_servers, production=settings.is_production)
    keys = Keys(settings.smart_keys_folder)
    discovery = Discovery(session, production=settings.is_production)
    tokens = TokenClient(session, keys, settings.base_url)
    launcher = Launcher(ehrs, discovery, tokens, Store(engine, keys), ledger)
    return Smart(ehrs, keys, BrowserCookie(keys, settings.base_url), launcher)


def has_link(smart: Smart | None, settings: Settings, fhir_server: str | None) -> bool:
    """Whether cards for a caller with this FHIR server carry a link to the app.

    It has to be an EHR of the file, or the setting says so for all; without a FHIR server nobody could open it.
    """
    if fhir_server is None:
        return False
    return settings.smart_links or (smart is not None and any(ehr.is_behind(fhir_server) for ehr in smart.ehrs))
