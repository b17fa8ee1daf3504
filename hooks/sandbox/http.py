"""JSON over HTTP with a time-out on everything, and a FHIR server on top of it."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests

from hooks.sandbox.errors import RefusalError, SandboxError

Json = dict[str, Any]
CONNECT_SECONDS = 3.05
ANSWER_SECONDS = 30.0
MOST_PAGES = 50
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Answer(NamedTuple):
    """What a server answered: the status, and the body where it was JSON (else its text)."""

    status: int
    body: Any
    seconds: float


def ask(method: str, url: str, body: Json | None = None, kind: str = "application/json", token: str = "") -> Answer:
    """Send one request, with a bearer token where one is given, and read the JSON that comes back.

    Raises:
        SandboxError: nobody answers there, or not in time.
    """
    headers = {"Accept": kind} if body is None else {"Accept": kind, "Content-Type": kind}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        with session_for(url) as session:
            timeout = (CONNECT_SECONDS, ANSWER_SECONDS)
            response = session.request(method, url, json=body, headers=headers, timeout=timeout)
    except requests.Timeout as error:
        raise SandboxError(f"{origin(url)} did not answer in time; see whether it is busy") from error
    except requests.ConnectionError as error:
        raise SandboxError(f"nobody answers at {origin(url)}; start the server or correct the URL") from error
    except (requests.RequestException, ValueError) as error:
        raise SandboxError(f"{url} cannot be asked: {type(error).__name__}; correct the URL") from error
    seconds = response.elapsed.total_seconds()
    try:
        return Answer(response.status_code, response.json(), seconds)
    except ValueError:
        return Answer(response.status_code, response.text, seconds)


def session_for(url: str) -> requests.Session:
    """Open a session that goes to loopback directly, whatever proxy the environment names for the rest."""
    session = requests.Session()
    session.trust_env = urlsplit(url).hostname not in LOOPBACK
    return session


def origin(url: str) -> str:
    """Name scheme, host and port of a URL.

    >>> origin("http://127.0.0.1:8000/fhir/Patient?_id=1")
    'http://127.0.0.1:8000'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def outcome_text(body: object) -> str:
    """Say in one line what an OperationOutcome, or any other error body, says.

    >>> outcome_text({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "no code"}]})
    'no code'
    """
    if isinstance(body, dict) and isinstance(body.get("issue"), list):
        says = [_issue_text(issue) for issue in body["issue"] if isinstance(issue, dict)]
        return "; ".join(text for text in says if text) or "an OperationOutcome without a text"
    if isinstance(body, str) and body.lstrip().startswith("<"):
        return "a web page or XML, not JSON; see whether the URL is right"
    if isinstance(body, str) and body.strip():
        return " ".join(body.split())[:300]
    return "no explanation was given"


def _issue_text(issue: Json) -> str:
    details = issue.get("details")
    text = details.get("text") if isinstance(details, dict) else None
    parts = [str(part) for part in (text, issue.get("diagnostics")) if part]
    return ": ".join(dict.fromkeys(parts)) or str(issue.get("code", ""))


class FhirServer:
    """A FHIR server, as much of it as an EHR's order form needs.

    Args:
        base: the server's base URL.
    """

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")

    def read(self, query: str) -> Json:
        """Read a resource or run a search, every page of it.

        The `next` link is followed on the server's own origin only, so that nothing is sent elsewhere.
        A link that is not followed stays in the Bundle: whoever reads it can see that it is a part.

        Raises:
            RefusalError: the server refused.
            SandboxError: nobody answers.
        """
        first = self._get(f"{self.base}/{query}")
        page, seen = first, 1
        while (url := next_link(page, self.base)) and seen < MOST_PAGES:
            page = self._get(url)
            first.setdefault("entry", []).extend(page.get("entry") or [])
            first["link"] = page.get("link") or []
            seen += 1
        if not first.get("link", True):
            del first["link"]
        return first

    def search(self, query: str) -> list[Json]:
        """Run a search and list the resources that match, without warnings that came along."""
        return resources_in(self.read(query))

    def write(self, method: str, path: str, resource: Json | None) -> Json:
        """Create (POST), replace (PUT) or delete a resource, or carry out a transaction (POST to "")."""
        answer = ask(method, f"{self.base}/{path}".rstrip("/"), resource, "application/fhir+json")
        return self._accepted(answer)

    def _get(self, url: str) -> Json:
        return self._accepted(ask("GET", url, kind="application/fhir+json"))

    def _accepted(self, answer: Answer) -> Json:
        if not 200 <= answer.status < 300:
            raise RefusalError(answer.status, outcome_text(answer.body), f"the FHIR server {self.base}")
        if answer.body == "":
            return {}
        if not isinstance(answer.body, dict):
            raise SandboxError(f"{self.base} answered no FHIR JSON; give the base URL of a FHIR server")
        return answer.body


def resources_in(bundle: Json) -> list[Json]:
    """List a Bundle's resources, without the OperationOutcomes that came along.

    >>> resources_in({"entry": [{"resource": {"resourceType": "OperationOutcome"}}, {}]})
    []
    """
    found = [entry.get("resource") for entry in bundle.get("entry") or [] if isinstance(entry, dict)]
    resources = [item for item in found if isinstance(item, dict)]
    return [item for item in resources if item.get("resourceType") != "OperationOutcome"]


def next_link(page: Json, base: str) -> str | None:
    """Find the URL of a Bundle's next page, if it is on the same origin as the server.

    >>> next_link({"link": [{"relation": "next", "url": "http://a/fhir?p=2"}]}, "http://a/fhir")
    'http://a/fhir?p=2'
    >>> next_link({"link": [{"relation": "next", "url": "http://b/fhir?p=2"}]}, "http://a/fhir") is None
    True
    """
    for link in page.get("link") or []:
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            url = urljoin(f"{base}/", link["url"])
            return url if origin(url) == origin(base) else None
    return None
