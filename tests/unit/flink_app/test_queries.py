"""How the job finds its views and detections, and what it says of files that do not fit."""

import re
from pathlib import Path

import pytest

from cardwatch.contract.streams import EVENT_TYPES
from properties import Properties, PropertyError
from queries import QueryError, chosen_detections, find_queries, in_order, of_stream, settings_of
from sql_files import SQL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("views", "detections"):
        (tmp_path / kind).mkdir()
    return tmp_path


def write(folder: Path, file: str, sql: str, *header: str) -> None:
    (folder / f"{file}.sql").write_text("\n".join([*header, sql]), encoding="utf-8")


def names(folder: Path, *detections: str) -> list[str]:
    return [query.name for query in in_order(find_queries(folder), detections)]


def test_what_is_read_comes_first_and_what_nobody_needs_is_left_out(folder: Path) -> None:
    write(folder, "detections/a", "SELECT record FROM z", "-- reads: z")
    write(folder, "detections/b", "SELECT record FROM events", "-- reads: events")
    write(folder, "views/z", "SELECT * FROM y JOIN events", "-- reads: y, events")
    write(folder, "views/y", "SELECT * FROM events", "-- reads: events", "-- boundary: rt")
    assert names(folder, "a") == ["y", "z", "a"]
    assert names(folder, "b") == ["b"]
    queries = find_queries(folder)
    assert [q.name for q in queries.values() if q.is_detection] == ["a", "b"]
    assert {q.name: q.boundary for q in queries.values()} == {
        "a": None,
        "b": None,
        "y": "rt",
        "z": None,
    }


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT EXTRACT(SECOND FROM rt) FROM a",
        "SELECT 'FROM b' FROM a -- FROM c",
        "SELECT * FROM TABLE(HOP(TABLE a, DESCRIPTOR (rt), INTERVAL '1' MINUTE))",
        "SELECT * FROM (SELECT * FROM a) CROSS JOIN UNNEST(ids) AS t (id)",
        "select * from a",
    ],
)
def test_a_table_is_told_from_what_only_looks_like_one(folder: Path, sql: str) -> None:
    write(folder, "views/a", "SELECT * FROM events", "-- reads: events")
    write(folder, "views/b", sql, "-- reads: a")
    assert find_queries(folder)["b"].reads == ("a",)


@pytest.mark.parametrize("header", ["", "-- reads: b", "-- reads: a, events"])
def test_a_header_that_is_not_the_sqls_is_refused_with_the_line_to_write(
    folder: Path, header: str
) -> None:
    write(folder, "views/c", "SELECT * FROM a", header)
    with pytest.raises(QueryError, match=r"^views/c\.sql .* write `-- reads: a`"):
        find_queries(folder)


def test_a_name_that_no_file_has_is_refused(folder: Path) -> None:
    write(folder, "detections/d", "SELECT record FROM nobody", "-- reads: nobody")
    with pytest.raises(QueryError, match=r"^detections/d\.sql reads nobody, which is no file"):
        find_queries(folder)


def test_a_name_that_two_files_have_is_refused(folder: Path) -> None:
    for kind in ("views", "detections"):
        write(folder, f"{kind}/a", "SELECT * FROM events", "-- reads: events")
    with pytest.raises(QueryError, match=r"^detections/a\.sql: the name a is taken"):
        find_queries(folder)


def test_a_boundary_has_one_row_time(folder: Path) -> None:
    write(folder, "views/a", "SELECT * FROM events", "-- reads: events", "-- boundary: rt, other")
    with pytest.raises(QueryError, match="name one column"):
        find_queries(folder)


def test_a_watermark_names_a_setting_of_the_job(folder: Path) -> None:
    lines = ("-- reads: events", "-- boundary: rt", "-- watermark: rt - INTERVAL '${wait}' SECOND")
    write(folder, "views/a", "SELECT * FROM events", *lines)
    query = find_queries(folder, settings={"wait": "2"})["a"]
    assert query.watermark == "rt - INTERVAL '2' SECOND"
    with pytest.raises(QueryError, match=r"names \$\{wait\}, which is no setting"):
        find_queries(folder)


def test_an_expression_stands_for_its_name_about_the_column_it_is_given(folder: Path) -> None:
    (folder / "expressions").mkdir()
    write(folder, "expressions/day", "SELECT\n    SUBSTRING(${it}, 1, 10)", "-- FROM nobody")
    write(folder, "expressions/one", "SELECT 1")
    sql = "SELECT ${day(data.since)}, ${one} FROM events"
    write(folder, "views/a", sql, "-- reads: events")
    assert find_queries(folder)["a"].text.strip() == (
        "SELECT SUBSTRING(data.since, 1, 10), 1 FROM events"
    )
    write(folder, "views/b", "SELECT ${month} FROM events", "-- reads: events")
    with pytest.raises(QueryError, match=r"^views/b\.sql names \$\{month\}, which is no file"):
        find_queries(folder)


def test_a_circle_is_refused_and_shown(folder: Path) -> None:
    write(folder, "views/a", "SELECT * FROM b", "-- reads: b")
    write(folder, "views/b", "SELECT * FROM c", "-- reads: c")
    write(folder, "views/c", "SELECT * FROM a", "-- reads: a")
    write(folder, "detections/d", "SELECT record FROM a", "-- reads: a")
    with pytest.raises(QueryError, match=r"circle: \w reads \w reads \w reads \w; take one"):
        names(folder, "d")


def test_the_jobs_own_files_fit_together() -> None:
    queries = find_queries(settings=settings_of(Properties({}, "")))
    detections = [query.name for query in queries.values() if query.is_detection]
    assert len(in_order(queries, detections)) == len(queries), "a view that no detection needs"
    assert {path.stem for path in (SQL / "detections").glob("*.sql")} == set(detections)


def chosen(folder: Path, **asked: str) -> list[str]:
    properties = Properties({"cardwatch.detection": asked}, "a.json")
    return chosen_detections(properties, find_queries(folder))


def test_an_application_runs_its_own_detections_and_without_one_all_are_run(folder: Path) -> None:
    write(folder, "detections/card", "SELECT record FROM events", "-- reads: events")
    for name in ("velocity", "spend"):
        header = "-- reads: events\n-- application: risk_desk"
        write(folder, f"detections/{name}", "SELECT record FROM events", header)
    assert chosen(folder, application="stolen_cards") == ["card"]
    assert chosen(folder, application="risk_desk") == ["spend", "velocity"]
    assert chosen(folder) == ["card", "spend", "velocity"]
    assert chosen(folder, detections="velocity, card") == ["card", "velocity"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"application": "desk"}, "names 'desk', which is none of stolen_cards: correct it in"),
        ({"detections": "card,cart"}, "names 'cart', which is none of card: correct it in a.json"),
        ({"application": "stolen_cards", "detections": "card"}, "take one of them out of a.json"),
    ],
)
def test_what_no_file_has_is_refused_by_name(
    folder: Path, asked: dict[str, str], said: str
) -> None:
    write(folder, "detections/card", "SELECT record FROM events", "-- reads: events")
    with pytest.raises(PropertyError, match=re.escape(said)):
        chosen(folder, **asked)


@pytest.mark.parametrize("line", ["application: risk_desk", "stream: scores"])
def test_a_view_belongs_to_no_application_and_no_stream(folder: Path, line: str) -> None:
    write(folder, "views/a", "SELECT record FROM events", f"-- reads: events\n-- {line}")
    said = f"views/a.sql names its {line.partition(':')[0]}, and is a view"
    with pytest.raises(QueryError, match=re.escape(said)):
        find_queries(folder)


def test_only_what_is_planned_by_itself_has_a_lifetime(folder: Path) -> None:
    header = "-- reads: events\n-- lifetime: 2 h"
    write(folder, "views/a", "SELECT record FROM events", header)
    with pytest.raises(QueryError, match=r"^views/a\.sql has a lifetime, and is no boundary"):
        find_queries(folder)
    write(folder, "views/a", "SELECT record FROM events", f"{header}\n-- boundary: none")
    assert find_queries(folder)["a"].lifetime == "2 h"


def test_nothing_that_judges_stolen_cards_is_ever_forgotten() -> None:
    queries = find_queries(settings=settings_of(Properties({}, "")))
    asked = Properties({"cardwatch.detection": {"application": "stolen_cards"}}, "a.json")
    needed = in_order(queries, chosen_detections(asked, queries))
    assert [query.name for query in needed if query.lifetime is not None] == []


def test_a_detection_goes_onto_the_stream_that_it_names_or_else_onto_the_events(
    folder: Path,
) -> None:
    write(folder, "detections/card", "SELECT record FROM events", "-- reads: events")
    header = "-- reads: events\n-- stream: scores"
    write(folder, "detections/score", "SELECT record FROM events", header)
    found = find_queries(folder)
    assert (found["card"].stream, found["score"].stream) == ("events", "scores")
    assert of_stream("stream_name", "events") == "stream_name"
    assert of_stream("stream_name", "scores") == "scores_stream_name"
    assert of_stream("aws_region", "scores") == "aws_region"


def test_every_detection_writes_onto_the_stream_that_the_contract_has_for_its_type() -> None:
    queries = find_queries(settings=settings_of(Properties({}, "")))
    detections = [query for query in queries.values() if query.is_detection]
    types = {query.name: EVENT_TYPES.get(query.name.upper()) for query in detections}  # type: ignore[call-overload]
    of_rules = {name for name, kind in types.items() if kind is None}
    assert {"large_amount", "card_testing"} <= of_rules
    streams = {query.name: query.stream for query in detections}
    assert streams == {
        name: (kind or EVENT_TYPES["RULE_ALERT"]).stream for name, kind in types.items()
    }


def test_what_the_job_reads_is_on_the_one_stream_that_it_reads() -> None:
    read = {kind.stream for kind in EVENT_TYPES.values() if kind.event_time != "none"}
    assert read == {"events"}


def test_stolen_cards_are_paged_by_an_application_that_runs_nothing_else() -> None:
    queries = find_queries(settings=settings_of(Properties({}, "")))
    asked = Properties({"cardwatch.detection": {"application": "stolen_cards"}}, "a.json")
    assert chosen_detections(asked, queries) == ["payment_alert", "payment_alert_summary"]
