"""Imaging studies on file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cds.model import Days, Fact, Site, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, plural
from cds.rules.finding import Finding, met, not_met, unknown

Picture = tuple[Days, str]


def pictures(case: Case, params: Params) -> list[Picture]:
    """Studies, reports and procedures that are of the set's modality and the order's region."""
    wanted = case.terms.valueset(params["set"])
    modalities = {code for system, code in wanted.codes if system == "dicom"}
    found: list[Picture] = []
    for image in case.record.images:
        if (wanted.matches(image.concept) or image.modality in modalities) and _here(case, image.sites):
            found.append((image.day, image.source))
    for done in case.record.procedures:
        if wanted.matches(done.concept) and _here(case, done.sites):
            found.append((done.day, done.source))
    return [(day, source) for day, source in found if day.within(None, case.as_of) is not False]


def _here(case: Case, sites: tuple[Site, ...]) -> bool:
    """A study that names no region may be of this one."""
    return not sites or not case.order.sites or any(s.may_be(mine) for s in sites for mine in case.order.sites)


@kind("imaging-on-file", Fact.IMAGING)
def imaging_on_file(case: Case, params: Params) -> Finding:
    """Whether a study of the set lies within the last `months`, and (`count`) how many there are in all."""
    months, least = case.number(params["months"]), case.number(params["count"]) if "count" in params else 1
    if months is None or least is None:
        return unknown("the policy states no window for this date", ["the policy's figure"])
    since = add_months(case.as_of, -months)
    title = case.terms.valueset(params["set"]).title
    title = title[:1].lower() + title[1:]
    found = sorted(pictures(case, params), key=lambda picture: (picture[0].first or date.min, picture[1]))
    recent = [(day, source) for day, source in found if day.within(since, case.as_of)]
    maybe = [source for day, source in found if day.within(since, case.as_of) is None]
    every = [source for _, source in found]
    sets, most = _sets([day for day, _ in found])
    if recent and sets >= least:
        how_many = f"{plural(sets, 'set')}, the latest of" if least > 1 else "on file,"
        return met(f"{title}: {how_many} {recent[-1][0]}", every)
    newest = f", the latest of {found[-1][0]}" if found else ""
    says = f"{title}: {plural(sets, 'set')} on file{newest}; {_wanted(least, since)}"
    if doubts := case.doubts(Fact.IMAGING):
        return unknown(f"{says}; imaging could not be read in full: {because(doubts)}", [title], every)
    if (recent or maybe) and most >= least:
        return unknown(says, ["the exact day of each study"], every)
    more = least - sets if recent else max(1, least - sets)
    change = f"met if {plural(more, 'more set' if sets else 'set')} of {title} {'is' if more == 1 else 'are'} on file"
    return not_met(says, every, [change if recent else f"{change}, taken since {since}"])


def _wanted(least: int, since: date) -> str:
    return f"one since {since} is wanted" if least == 1 else f"{least} are wanted, the latest since {since}"


def _sets(days: Sequence[Days]) -> tuple[int, int]:
    """Fewest and most sets: what was taken on one day, and told as study, report and procedure, is one set."""
    exact = {day.exact for day in days if day.exact is not None}
    vague = [day for day in days if day.exact is None]
    apart = any(not any(day.within_reach(known) for known in exact) for day in vague)
    return len(exact) + apart, len(exact) + len(vague)
