"""From an EHR's click to a session: launch, authorization, callback (SMART App Launch 2.2, app-launch.md).

`Launcher.begin` sends the browser to the EHR, `Launcher.finish` takes what it comes back with, `Launcher.session` finds
the session behind a page. Nothing is fetched for an EHR that is not in the file.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from cds.ledger.ledger import Ledger
from hooks.smart.discovery import Discovery
from hooks.smart.errors import EhrFailed, LaunchRefused, SessionOver
from hooks.smart.id_token import Expected, user_of
from hooks.smart.record import linked, newest
from hooks.smart.registration import Ehr
from hooks.smart.session import Launch, Session, Store, browser_digest
from hooks.smart.token import Token, TokenClient

log = logging.getLogger(__name__)
SESSION_SECONDS = 8 * 3600
EARLY_SECONDS = 30
_AGAIN = "Open it again from the patient's chart"
# RFC 6749, 4.1.2.1: what an EHR answers instead of a code, in words.
_SAID = {
    "access_denied": "You, or the EHR for you, did not allow this app to open",
    "temporarily_unavailable": "The EHR cannot open apps right now",
    "server_error": "The EHR failed while it opened this app",
    "invalid_scope": "The EHR does not know what this app asks for",
    "unauthorized_client": "The EHR does not know this app",
    "invalid_request": "The EHR did not understand how this app asked to be opened",
}
_LONGEST = 4096


class Launcher:
    """Opens the app for the EHRs of the file. Safe to share between threads."""

    def __init__(
        self, ehrs: Iterable[Ehr], discovery: Discovery, tokens: TokenClient, store: Store, ledger: Ledger
    ) -> None:
        """`ehrs` are all that may launch it."""
        self._ehrs = {ehr.iss: ehr for ehr in ehrs}
        self._discovery = discovery
        self._tokens = tokens
        self._store = store
        self._ledger = ledger

    def ehr(self, iss: str) -> Ehr:
        """The EHR of a FHIR base URL, to the letter but for a slash at its end; LaunchRefused for any other."""
        found = self._ehrs.get(iss.rstrip("/"))
        if found is None:
            raise LaunchRefused(
                "The EHR that opened this page is not one that this service knows",
                remedy="Its operator can add it (docs/smart.md)",
            )
        return found

    # ------------------------------------------------------------------------------------------- the way in

    def begin(self, iss: str, launch: str | None, browser: str) -> str:
        """Where to send this browser so that the EHR decides. Without `launch` the EHR asks which patient.

        LaunchRefused for a foreign EHR, before anything is fetched; EhrFailed where its configuration is of no use.
        """
        ehr = self.ehr(iss)
        if launch is not None and not (0 < len(launch) <= _LONGEST and launch.isprintable()):
            raise LaunchRefused("The EHR opened this page without saying which launch it is", remedy=_AGAIN)
        configuration = self._discovery.configuration(ehr.iss)
        begun = Launch(
            iss=ehr.iss,
            browser=browser_digest(browser),
            verifier=secrets.token_urlsafe(64),
            nonce=secrets.token_urlsafe(32),
            scopes=ehr.scopes_for(standalone=launch is None),
            token_endpoint=configuration.token_endpoint,
            issuer=configuration.issuer or ehr.iss,
        )
        parameters = {} if launch is None else {"launch": launch}
        return self._tokens.authorize_url(
            configuration.authorization_endpoint,
            ehr,
            scope=begun.scopes,
            state=self._store.begin(begun),
            nonce=begun.nonce,
            code_verifier=begun.verifier,
            aud=iss,  # as it came: it differs from the file's by a slash at most
            **parameters,
        )

    def finish(self, answer: Mapping[str, str], browser: str | None) -> Session:
        """The new session for what the EHR sent the browser back with, and its handle.

        SmartError where the answer belongs to no launch of this browser, is a refusal, or cannot be trusted.
        """
        begun = self._launch(answer.get("state", ""), browser)
        if "error" in answer:
            raise _said(answer["error"])
        code = answer.get("code", "")
        if not 0 < len(code) <= _LONGEST:
            raise EhrFailed("The EHR sent no code", remedy=_AGAIN)
        ehr = self.ehr(begun.iss)
        token = self._tokens.redeem(begun.token_endpoint, ehr, code, begun.verifier)
        session = self._opened(ehr, begun, token)
        return replace(session, handle=self._store.add(session))

    def _launch(self, state: str, browser: str | None) -> Launch:
        if browser is None:
            raise LaunchRefused(
                "Your browser did not keep this app's cookie, so nobody can tell whether you opened it",
                remedy="Allow cookies for this service, or open it in a window of its own",
            )
        begun = self._store.take(state, browser) if 0 < len(state) <= 200 else None
        if begun is None:
            raise LaunchRefused("This answer belongs to no launch from this browser, or was used before", remedy=_AGAIN)
        return begun

    def _opened(self, ehr: Ehr, begun: Launch, token: Token) -> Session:
        granted = begun.scopes if token.scope is None else token.scope
        user = ""
        if token.id_token is not None:
            expected = Expected(begun.issuer, ehr.client_id, begun.nonce)
            user = user_of(token.id_token, expected, self._discovery)
        elif {"openid"} <= set(granted.split()) & set(begun.scopes.split()):
            raise LaunchRefused("The EHR did not say who you are, though it agreed to", remedy=_AGAIN)
        if not token.patient:
            raise LaunchRefused("The EHR did not say which patient is open", remedy=_AGAIN)
        if token.app_context:
            shown = linked(self._ledger, token.app_context, ehr, token.patient).id
        else:
            last = newest(self._ledger, ehr, token.patient)
            shown = last.id if last else ""
        now = int(time.time())
        refresh = token.refresh_token if set(granted.split()) & {"offline_access", "online_access"} else ""
        return Session(
            iss=ehr.iss,
            patient=token.patient,
            assessment=shown,
            browser=begun.browser,
            access_token=token.access_token,
            token_endpoint=begun.token_endpoint,
            token_until=now + token.lifetime,
            until=now + (SESSION_SECONDS if refresh else token.lifetime),
            asked=begun.scopes,
            granted=granted,
            encounter=token.encounter,
            user=user,
            banner=token.need_patient_banner,
            refresh_token=refresh,
        )

    # ------------------------------------------------------------------------------------------- the pages

    def session(self, handle: str, browser: str | None) -> Session:
        """The session of a handle in this browser, its token still good; SessionOver where there is none."""
        session = self._store.find(handle, browser) if browser is not None else None
        if session is None:
            raise SessionOver("You have no session here, or it has ended", remedy=_AGAIN)
        if session.token_until - EARLY_SECONDS > time.time() or not session.refresh_token:
            return session
        return self._refreshed(session, browser or "")

    def end(self, session: Session) -> None:
        """Forget a session and its tokens."""
        self._store.end(session)

    def _refreshed(self, session: Session, browser: str) -> Session:
        try:
            token = self._tokens.refresh(session.token_endpoint, self.ehr(session.iss), session.refresh_token)
        except EhrFailed:
            # Another worker may have been quicker: a refresh token is often good once only.
            again = self._store.find(session.handle, browser)
            if again is not None and again.refresh_token != session.refresh_token:
                return again
            raise SessionOver("The EHR has ended your session", remedy=_AGAIN) from None
        if token.patient not in ("", session.patient):
            raise SessionOver("The EHR has moved on to another patient", remedy=_AGAIN)
        changed = replace(
            session,
            access_token=token.access_token,
            refresh_token=token.refresh_token or session.refresh_token,
            token_until=int(time.time()) + token.lifetime,
            granted=session.granted if token.scope is None else token.scope,
        )
        self._store.change(changed)
        return changed


def _said(error: str) -> EhrFailed:
    """What an EHR's refusal comes to in words. Its own text is not shown: whoever made the address wrote it."""
    log.info("an EHR refused a launch (%s)", error if error in _SAID else "another error")
    return EhrFailed(_SAID.get(error, "The EHR did not open this app"), remedy=f"{_AGAIN}, or ask your EHR's support")
