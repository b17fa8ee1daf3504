"""Pictures: what is drawn is what the tables beside it tell, and nothing in them runs, styles or fetches."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import date

import pytest
from flask import Flask

from cds.course import course_of, trends_of
from hooks.smart.story.drawing import Series, drawing
from hooks.smart.story.pictures import Picture, score_picture, visits_picture
from tests.cds.build import appointment
from tests.hooks.calls import EXAMPLES
from tests.hooks.calls import resources as example
from tests.hooks.smart.story.stories import Json, score, signed, with_more

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - what the service itself has drawn


def series(picture: Picture, name: str) -> list[ET.Element]:
    """The elements of a series, of whichever layer."""
    return [each for each in parsed(picture.svg).iter() if each.get("class") == f"series {name}"]


def points(picture: Picture, name: str) -> int:
    """How many points of a series are drawn."""
    return sum("dot" in (node.get("class") or "").split() for each in series(picture, name) for node in each.iter())


def numbers(picture: Picture) -> dict[str, str]:
    """The first table of the visits."""
    return {row[0]: row[1] for row in picture.tables[0].rows}


def labels(picture: Picture) -> list[str]:
    return [each.text or "" for each in parsed(picture.svg).iter(f"{SVG}text")]


def test_both_tables_hold_the_numbers_of_the_picture_when_f000_is_signed(app: Flask) -> None:
    picture = visits_picture(course_of(signed(app)))
    _, days = picture.tables
    assert numbers(picture) == {
        "Completed": "18", "Requested": "2", "In all": "20", "Limit": "14",
        "Projected by the plan of care": "28 to 36", "The plan of care ends": "2025-05-08",
    }  # fmt: skip
    assert picture.says == "20 visits in all against a limit of 14 and 28 to 36 by the end of the plan of care."
    assert points(picture, "visits") == sum(row[2].startswith("number ") for row in days.rows) == 18
    assert points(picture, "asked") == sum(row[1] == "asked for by this order" for row in days.rows) == 2
    assert points(picture, "surgery") == sum(row[1].startswith("surgery") for row in days.rows) == 1
    assert points(picture, "evaluated") == sum(row[1].endswith("evaluation") for row in days.rows) == 1
    assert points(picture, "projected") == 2
    assert {"0", "14", "20", "28", "36"} <= set(labels(picture))


def test_every_key_has_its_series_when_f000_is_signed(app: Flask) -> None:
    picture = visits_picture(course_of(signed(app)))
    assert [name for name, _, _ in picture.keys] == [
        "visits", "evaluated", "asked", "limit", "projected", "surgery", "pause",
    ]  # fmt: skip
    assert all(series(picture, name) for name, _, _ in picture.keys)
    signs = [sign for name, sign, _ in picture.keys if name != "pause"]
    assert len(signs) == len(set(signs))


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_in_a_picture_runs_styles_or_fetches_when_it_stands_in_the_page(app: Flask, name: str) -> None:
    story = signed(app, name)
    pictures = [visits_picture(course_of(story))]
    pictures += [score_picture(trend, story.as_of, at) for at, trend in enumerate(trends_of(story))]
    for picture in pictures:
        assert picture.tables
        if not picture.svg:
            continue
        root = parsed(picture.svg)
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {"svg", "g", "rect", "path", "text", "circle"}
        assert not re.search(r"style=|href=|url\(|on\w+=|<!--", picture.svg)
        assert root.get("aria-hidden") == "true"


def test_count_is_told_as_unknown_when_notes_tell_of_visits_that_nobody_can_count(app: Flask) -> None:
    picture = visits_picture(course_of(signed(app, "f002")))
    assert numbers(picture)["Completed"] == "at least 0"
    assert numbers(picture)["In all"] == "at least 6"
    assert "it reaches back to the injury" in picture.says


def test_nothing_is_drawn_when_no_policy_applied(app: Flask) -> None:
    record = [each for each in example("f000") if each["resourceType"] not in ("Coverage", "Organization")]
    story = signed(app, record=record)
    assert story.said["policy"] is None
    picture = visits_picture(course_of(story))
    assert picture.says == "Visits were not counted, since no policy applied."
    assert (picture.svg, numbers(picture)["In all"]) == ("", "an unknown number")
    assert len(picture.tables) == 1  # without a policy nobody asked for the visits


def test_booked_and_missed_days_have_shapes_of_their_own_when_they_are_drawn(app: Flask) -> None:
    booked: Json = appointment("2025-03-20T09:00:00-04:00") | {"id": "booked-1"}
    missed: Json = appointment("2025-02-20T09:00:00-05:00", "noshow") | {"id": "missed-1"}
    for each in (booked, missed):
        each["participant"] = [{"actor": {"reference": "Patient/f000"}, "status": "accepted"}]
    picture = visits_picture(course_of(with_more(app, booked, missed)))
    drawn = {name: points(picture, name) for name in ("booked", "missed")}
    assert drawn == {"booked": 1, "missed": 1}
    shapes = {name: [d for each in series(picture, name) for node in each.iter() if (d := node.get("d"))]
              for name in ("booked", "missed")}  # fmt: skip
    assert shapes["booked"][0].endswith("Z")
    assert not shapes["missed"][0].endswith("Z")


def test_trend_has_its_band_baseline_and_latest_when_there_are_two_scores(app: Flask) -> None:
    story = with_more(app, score("ihot-12", "2024-08-12", 40), score("ihot-12", "2025-03-01", 60, 2))
    picture = score_picture(trends_of(story)[0], story.as_of, 0)
    assert picture.title == "iHOT-12 (higher is better)"
    assert picture.says == "iHOT-12 40 to 60, improved (MCII 14)."
    assert {"0", "40", "60", "100"} <= set(labels(picture))
    assert points(picture, "scores") == len(picture.tables[0].rows) == 2
    assert [row[:3] for row in picture.tables[0].rows] == [
        ("2024-08-12", "40", "baseline"), ("2025-03-01", "60", "latest"),
    ]  # fmt: skip
    keys = [means for _, _, means in picture.keys]
    assert "change that matters: 14 (MCII), a verified figure; improved from 54" in keys
    assert "baseline: 40 on 2024-08-12" in keys
    assert "latest: 60 on 2025-03-01" in keys
    assert series(picture, "band")


def test_unverified_figure_is_told_as_such_when_the_band_rests_on_it(app: Flask) -> None:
    story = signed(app, "f004")
    (picture,) = [score_picture(trend, story.as_of, 0) for trend in trends_of(story)]
    assert picture.says == "One score only: there is nothing to compare it with."
    assert "a figure that nobody has verified; improved from 16" in picture.keys[-1][2]


def test_no_important_change_is_drawn_when_none_is_known(app: Flask) -> None:
    story = signed(app, "f003")
    (fear,) = [trend for trend in trends_of(story) if trend.instrument.id == "fabq"]
    picture = score_picture(fear, story.as_of, 0)
    assert picture.keys[-1][2] == "no important change is known for it"
    assert not series(picture, "band")


def test_words_stand_in_the_table_when_nothing_can_be_drawn(app: Flask) -> None:
    story = signed(app, "f001")
    (strength,) = [trend for trend in trends_of(story) if trend.instrument.id == "muscle-strength"]
    picture = score_picture(strength, story.as_of, 0)
    assert picture.svg == ""
    assert picture.tables[0].rows[0][1] == "moderate deficit compared with the other side"


def test_picture_is_left_out_when_there_are_too_many(app: Flask) -> None:
    story = signed(app, "f004")
    picture = score_picture(trends_of(story)[0], story.as_of, 0, drawn=False)
    assert (picture.svg, len(picture.tables[0].rows)) == ("", 1)


def test_name_of_a_series_cannot_break_out_when_it_is_drawn() -> None:
    drawn = drawing('"><script>', [Series("visits", [(date(2025, 1, 1), 1), (date(2025, 3, 1), 2)], "circle")],
                    [1, 2], (0, 2))  # fmt: skip
    assert "<script" not in drawn
    assert parsed(drawn).tag == f"{SVG}svg"
