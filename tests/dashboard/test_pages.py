"""What a person reads on each page, by Streamlit's own test of an application."""

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow.ipc import open_stream  # type: ignore[import-untyped]
from tests.dashboard.conftest import ROOT, Load, Show
from tests.dashboard.events import (
    CARD,
    OTHER_CARD,
    ago,
    alert,
    page,
    payment,
    rule,
    rule_alert,
    score,
    stolen,
)

from cardwatch.contract.fields import format_time
from cardwatch.contract.rule import FactorPoints
from cardwatch.local.run.status import RunCounts, Status
from cardwatch.local.warehouse import WarehouseServer

ALERTS = "Alerts of the last 1 hour, the newest first"
OF_WAREHOUSE = [
    ("now.show", {}),
    ("scores.show", {}),
    ("countries.show", {}),
    ("entity.show_card", {"id": CARD}),
    ("entity.show_account", {"id": "acc_00042"}),
    ("entity.show_merchant", {"id": "mer_0007"}),
    ("paging.show", {}),
    ("rules.show", {}),
    ("pipeline.show", {}),
]


def timeline(kind: str) -> str:
    return f"Payments, alerts and pages of this {kind}"


def test_alerts_of_every_rule_stand_in_one_table_with_their_why_the_newest_first(
    load: Load, show: Show
) -> None:
    paid = payment("pay_1", ago(60))
    found = alert(paid)
    of_rule = rule_alert("large_amount", "merchant", "mer_0009", ago(30))
    load([paid, found, of_rule, page("page-1", ago(55), found)])

    told = show("now.show")

    first, second = told.tables[ALERTS]
    assert first["Rule"] == "large_amount"
    assert first["Severity"] == "high"
    assert first["About"] == "merchant mer_0009"
    assert first["Observed"] == "25,000.00 EUR"
    assert first["Why"].startswith("A single payment of 25000.00 EUR")
    assert first["Paged"] == "not yet"
    assert second["About"] == "card ••4242"
    assert second["Why"] == "card reported stolen 2026-01-26T16:03:09.000Z"
    assert second["Paged"] == "2.0 s later"


def test_the_last_hour_counts_payments_alerts_and_pages_and_adds_no_currencies_together(
    load: Load, show: Show
) -> None:
    paid = payment("pay_1", ago(60))
    found = alert(paid)
    load(
        [
            paid,
            found,
            page("page-1", ago(50), found),
            payment("pay_2", ago(40), card=OTHER_CARD, currency="GBP", amount="7"),
        ]
    )

    told = show("now.show")

    assert told.figures == {"Payments": "2", "Alerts": "1", "of these paged": "1", "Pages": "1"}
    spent = told.tables["Payments of the last hour by currency and status"]
    assert [(row["Currency"], row["Authorized"]) for row in spent] == [
        ("EUR", "12.50 EUR"),
        ("GBP", "7.00 GBP"),
    ]
    assert told.tables["Countries with the most alerts"] == [
        {"Countries": "MT", "Alerts": "1", "Cards": "1"}
    ]


def test_filters_leave_what_fits_and_say_so_when_nothing_does(load: Load, show: Show) -> None:
    paid, other = payment("pay_1", ago(60)), payment("pay_2", ago(50), card=OTHER_CARD)
    load([paid, other, alert(paid), alert(other), rule_alert("high_score", "card", CARD, ago(30))])
    told = show("now.show")

    told.app.selectbox(key="rule").set_value("stolen_card").run()
    assert {row["Rule"] for row in told.tables[ALERTS]} == {"stolen_card"}
    told.app.text_input(key="about").set_value("1881").run()
    assert [row["About"] for row in told.tables[ALERTS]] == ["card ••1881"]
    told.app.text_input(key="about").set_value(CARD[:8]).run()
    told.app.selectbox(key="rule").set_value("any").run()
    told.app.selectbox(key="severity").set_value("high").run()
    assert [row["Rule"] for row in told.tables[ALERTS]] == ["high_score"]
    told.app.text_input(key="about").set_value("nobody").run()
    assert "No alert that fits the filters in the last 1 hour." in told.text


def test_versions_of_the_rules_stand_with_what_they_say_and_what_they_found(
    load: Load, show: Show
) -> None:
    small = [{"currency": "EUR", "amount": "5"}]
    points = dict.fromkeys(FactorPoints.model_fields, 10)
    load(
        [
            rule("large_amount", 2, ago(90)),
            rule("large_amount", 3, ago(60), paging="shadow"),
            rule("card_testing", 2, ago(90), amounts=small, more_than=7, window_seconds=60),
            rule("high_score", 2, ago(90), amounts=[], threshold=70, points=points),
            rule("user_velocity", 2, ago(90), amounts=[], state="off"),
            rule_alert("large_amount", "card", CARD, ago(100)),
        ]
    )

    told = show("rules.show")

    rows = told.tables["Versions of the rules that are in use or found something"]
    assert [(row["Rule"], row["Version"], row["In use"], row["Alerts"]) for row in rows] == [
        ("card_testing", "2", "in force", "0"),
        ("high_score", "2", "in force", "0"),
        ("large_amount", "3", "in shadow", "0"),
        ("large_amount", "2", "in force", "0"),
        ("large_amount", "1", "came with the job", "1"),
        ("user_velocity", "2", "off", "0"),
    ]
    said = [row["More than"] for row in rows]
    assert (said[0], said[2]) == ("7 in 60 s; small: 5 EUR", "8000 EUR")
    assert said[1].startswith("a score of 69; points: stolen card 10, impossible travel 10, ")


SCORES = "Payments of the last 1 hour by score, the riskiest first"


def test_the_riskiest_payment_stands_first_with_each_factor_and_what_was_not_judged(
    load: Load, show: Show
) -> None:
    quiet, risky, riskier = (payment(f"pay_{n}", ago(90 - n)) for n in range(3))
    long_ago = payment("pay_old", ago(7000))
    load(
        [
            score(quiet),
            score(risky, ("young_account", 10), not_judged=["over_limit", "velocity_user"]),
            score(riskier, ("stolen_card", 60), ("over_limit", 30)),
            score(long_ago, ("stolen_card", 60)),
        ]
    )

    told = show("scores.show")

    first, second = told.tables[SCORES]
    assert (first["Score"], second["Score"]) == ("90", "10")
    assert first["Why"] == (
        "+60 stolen_card: saw stolen_card (threshold: a limit)"
        "+30 over_limit: saw over_limit (threshold: a limit)"
    )
    assert first["Could not be judged"] == "-"
    assert second["Could not be judged"] == "over_limitvelocity_user"
    assert second["Place"] == "Valletta, MT"


def test_scores_are_filtered_by_their_height_and_by_one_card_account_or_merchant(
    load: Load, show: Show
) -> None:
    mine = payment("pay_1", ago(90))
    others = payment("pay_2", ago(60), card=OTHER_CARD, account_id="acc_2", merchant_id="mer_2")
    load([score(mine, ("over_limit", 30)), score(others, ("stolen_card", 60))])
    told = show("scores.show")

    told.app.number_input(key="minimum").set_value(31).run()
    assert [row["Score"] for row in told.tables[SCORES]] == ["60"]
    told.app.number_input(key="minimum").set_value(0).run()
    for kind, given in (("card", CARD), ("account", "acc_00042"), ("merchant", "mer_0007")):
        told.app.selectbox(key="kind").set_value(kind).run()
        told.app.text_input(key="about").set_value(given).run()
        table = f"Payments of the last 1 hour of this {kind} by score, the riskiest first"
        assert [row["Score"] for row in told.tables[table]] == ["30"]
    told.app.selectbox(key="kind").set_value("card").run()
    assert "Name the card" in told.text


def test_the_distribution_counts_each_payment_in_the_band_of_its_score(
    load: Load, show: Show
) -> None:
    paid = [payment(f"pay_{n}", ago(60)) for n in range(4)]
    load(
        [
            score(paid[0]),
            score(paid[1], ("velocity_merchant", 10)),
            score(paid[2], ("velocity_user", 20), ("first_in_country", 15)),
            score(paid[3], ("stolen_card", 60), ("impossible_travel", 40)),
        ]
    )

    told = show("scores.show")

    assert told.figures == {
        "Payments scored": "4",
        "Something speaks against": "3",
        "of all": "75.0 %",
    }
    (line,) = told.tables["Payments per minute by score"]
    del line["Time, UTC"]
    assert line == {"0": "1", "10-19": "1", "30-39": "1", "90-100": "1"}


def test_the_map_counts_payments_and_alerts_by_country_and_names_what_it_cannot_draw(
    load: Load, show: Show
) -> None:
    paid = [
        payment(f"pay_{n}", ago(60), country=country)
        for n, country in enumerate(["MT", "MT", "DE", "SX", "ZZ"])
    ]
    load([*paid, alert(paid[0])])

    told = show("countries.show")

    rows = told.tables["Payments and alerts of the last 1 hour by country"]
    assert [tuple(row.values()) for row in rows] == [
        ("Malta", "MT", "2", "1", "yes"),
        ("Germany", "DE", "1", "0", "yes"),
        ("Sint Maarten", "SX", "1", "0", "yes"),
        ("ZZ", "ZZ", "1", "0", "no"),
    ]


def test_the_map_is_drawn_from_the_shapes_in_the_repository(load: Load, show: Show) -> None:
    paid = [payment(f"pay_{n}", ago(60), country=country) for n, country in enumerate(("DE", "MT"))]
    load([*paid, alert(paid[0])])
    (drawn,) = show("countries.show").app.get("vega_lite_chart")
    spec = json.loads(drawn.proto.spec)
    assert '"url"' not in drawn.proto.spec
    land, paid_in, dots, alerts = spec["layer"]
    topology = spec["datasets"][spec["data"]["name"]]
    drawn_countries = {
        shape.get("id") for shape in topology["objects"]["countries"]["geometries"] if shape["type"]
    }
    assert "DE" in drawn_countries
    assert "MT" not in drawn_countries, "too small for a shape"
    rows = {each.name: open_stream(each.data.data).read_all() for each in drawn.proto.datasets}
    countries = [
        set(rows[data["name"]]["country"].to_pylist())
        for data in (paid_in["transform"][0]["from"]["data"], dots["data"], alerts["data"])
    ]
    assert countries == [{"DE", "MT"}, {"MT"}, {"DE"}]
    assert "data" not in land


def test_a_payment_stands_with_its_score_and_why_on_the_pages_of_its_card_account_and_merchant(
    load: Load, show: Show
) -> None:
    paid = payment("pay_1", ago(60))
    captured = payment("pay_1", ago(30), status="CAPTURED")
    load([paid, captured, payment("pay_2", ago(20)), score(paid, ("over_limit", 30))])
    for kind, given in (("card", CARD), ("account", "acc_00042"), ("merchant", "mer_0007")):
        rows = show(f"entity.show_{kind}", id=given).tables[timeline(kind)]
        assert [row["Score"] for row in rows] == ["-", "30", "30"]
        assert "+30 over_limit: saw over_limit (threshold: a limit)" in rows[2]["More"]


def test_a_merchant_with_the_most_alerts_stands_with_its_countries(load: Load, show: Show) -> None:
    paid = [payment(f"pay_{n}", ago(60), country=country) for n, country in enumerate(("MT", "DE"))]
    load([*paid, *map(alert, paid)])
    (row,) = show("now.show").tables["Merchants with the most alerts"]
    assert row["Country"] == "DE and 1 more"


def test_a_cards_page_shows_its_payments_alerts_and_pages_in_the_order_of_time(
    load: Load, show: Show
) -> None:
    reported = stolen(CARD, ago(3600))
    first, second = payment("pay_1", ago(90)), payment("pay_2", ago(30), status="DECLINED")
    found, again = alert(first), alert(second)
    of_another = payment("pay_3", ago(20), card=OTHER_CARD)
    load(
        [
            *(reported, first, second, of_another, found, again),
            page("page-1", ago(80), found),
            page("page-2", ago(20), again),
        ]
    )

    told = show("entity.show_card", id=CARD)

    rows = told.tables[timeline("card")]
    assert [(row["What"], row["Status"]) for row in rows] == [
        ("page", "SENT"),
        ("alert", "stolen_card"),
        ("payment", "DECLINED"),
        ("page", "SENT"),
        ("alert", "stolen_card"),
        ("payment", "AUTHORIZED"),
    ]
    assert [row["Time, UTC"] for row in rows] == sorted(
        (row["Time, UTC"] for row in rows), reverse=True
    )
    (status,) = told.tables["Reported of this card, the newest first"]
    assert (status["Status"], status["Card"]) == ("STOLEN", "••4242")


@pytest.mark.parametrize(
    ("kind", "mine", "others"),
    [("account", "acc_00042", "acc_00043"), ("merchant", "mer_0007", "mer_0008")],
)
def test_an_accounts_and_a_merchants_page_show_their_own_alone(
    kind: str, mine: str, others: str, load: Load, show: Show
) -> None:
    paid = payment("pay_1", ago(90))
    load([paid, alert(paid), payment("pay_2", ago(60), **{f"{kind}_id": others})])

    told = show(f"entity.show_{kind}", id=mine)

    rows = told.tables[timeline(kind)]
    assert [row["What"] for row in rows] == ["alert", "payment"]
    assert rows[1][kind.capitalize()] == mine


def test_a_card_is_asked_for_by_its_token_and_nothing_else_is_looked_up(show: Show) -> None:
    told = show("entity.show_card", id="1234567890123456")  # as long as a number, and none
    assert "This names no card" in told.text
    assert "1234567890123456" not in told.text
    assert told.tables == {}


def test_pages_are_held_against_the_objective_without_late_payments(load: Load, show: Show) -> None:
    quick, slow, late = (payment(f"pay_{n}", ago(120 - n)) for n in range(3))
    alerts = [alert(quick), alert(slow), alert(late, late=True)]
    load(
        [
            *(quick, slow, late, *alerts),
            page("page-1", ago(120 - 4), alerts[0]),
            page("page-2", ago(119 - 20), alerts[1]),
            page("page-3", ago(10), alerts[2]),
            page("page-4", ago(5), alerts[0], repeat=True),
        ]
    )

    told = show("paging.show")

    assert told.figures["Alerts paged"] == "2"
    assert told.figures["within 10 s (objective: 99 %)"] == "50.0 %"
    assert told.figures["p50"] == "12.0 s"
    assert told.figures["slowest"] == "20.0 s"
    (rule,) = told.tables["Pages of the last 1 hour by rule"]
    assert (rule["Pages"], rule["Marked as repeats"], rule["Alerts in them"]) == ("4", "1", "3")
    assert "Every alert is in a page" in told.text


def test_an_alert_in_no_page_is_named(load: Load, show: Show) -> None:
    paid = payment("pay_1", ago(60))
    load([paid, alert(paid)])
    (owed,) = show("paging.show").tables["Alerts in no page, the oldest first"]
    assert owed["Payment"] == "pay_1"


def test_the_pipeline_shows_the_runs_own_status_and_the_checks(
    load: Load, show: Show, tmp_path: Path
) -> None:
    status = Status(
        state="running",
        doing="",
        updated_at=format_time(datetime.now(UTC)),
        uptime_seconds=60,
        counts=RunCounts(payments_per_second=19.5, rejected={"not_json": 2}),
        quarantined={"not_json": 2, "bad_time": 1},
        watermark_lag_seconds=1.5,
        job="RUNNING",
        restarts={"flink": 1, "delivery": 0},
        troubles=("the bucket is away",),
    )
    (tmp_path / "status.json").write_text(json.dumps(asdict(status)))
    load([payment("pay_1", ago(60))])

    told = show("pipeline.show")

    assert told.figures["Payments per second"] == "19.5"
    assert told.figures["Event time is behind by"] == "1.5 s"
    assert told.tables["Refused records by reason"] == [
        {"Reason": "bad_time", "In quarantine": "1", "Seen on the stream": "0"},
        {"Reason": "not_json", "In quarantine": "2", "Seen on the stream": "2"},
    ]
    assert told.tables["In trouble"] == [{"In trouble": "the bucket is away"}]
    assert told.tables["Programs that were started again"] == [
        {"Started again": "flink", "Times": "1"}
    ]
    checks = {row["Check"]: row["Verdict"] for row in told.tables["Data-quality checks"]}
    assert checks["objects that cannot be loaded"] == "good"


@pytest.mark.parametrize(
    ("state", "age", "said"),
    [
        ("running", 60, "has not said anything since"),
        ("stopped", 60, "The run has stopped"),
        ("running", 0, "Nothing is in trouble"),
    ],
)
def test_a_status_that_nobody_writes_any_more_is_not_shown_as_news(
    state: str, age: int, said: str, show: Show, tmp_path: Path
) -> None:
    old = format_time(datetime.now(UTC) - timedelta(seconds=age))
    status = Status(state=state, doing="", updated_at=old, uptime_seconds=1)  # type: ignore[arg-type]
    (tmp_path / "status.json").write_text(json.dumps(asdict(status)))
    assert said in show("pipeline.show").text


def test_where_nothing_has_run_or_its_status_is_broken_the_pipeline_names_the_remedy(
    show: Show, tmp_path: Path
) -> None:
    assert "Nothing has run here yet: start it with `make run`" in show("pipeline.show").text
    (tmp_path / "status.json").write_text("{")
    assert "`cardwatch down`, then `cardwatch up`" in show("pipeline.show").text


@pytest.mark.parametrize(("page_of", "query"), OF_WAREHOUSE)
def test_without_the_warehouse_every_page_names_the_remedy(
    page_of: str, query: dict[str, str], show: Show, stopped_server: WarehouseServer
) -> None:
    told = show(page_of, postgres=stopped_server.folder, **query)
    assert "start it with `make run` or `cardwatch up`" in told.text
    assert told.tables == {}


def test_a_warehouse_without_tables_and_one_that_was_killed_name_the_remedy(
    show: Show, stopped_server: WarehouseServer
) -> None:
    stopped_server.start()
    assert "has no tables yet" in show("now.show", postgres=stopped_server.folder).text
    left = (stopped_server.folder / "postmaster.pid").read_text()
    stopped_server.stop()
    (stopped_server.folder / "postmaster.pid").write_text(left)
    told = show("now.show", postgres=stopped_server.folder)
    assert "The warehouse does not answer" in told.text
    (stopped_server.folder / "postmaster.pid").unlink()


@pytest.mark.parametrize(
    ("page_of", "query", "said"),
    [
        ("now.show", {}, ("Nothing happened in the last hour", "No alert in the last 1 hour")),
        (
            "scores.show",
            {},
            ("No payment was scored in the last 1 hour", "No payment with a score of at least 1"),
        ),
        ("countries.show", {}, ("No payment and no alert in the last 1 hour",)),
        ("entity.show_card", {}, ("Follow a link of an alert",)),
        ("entity.show_card", {"id": CARD}, ("Nothing of this card in the last 1 day",)),
        ("entity.show_account", {"id": "acc_1"}, ("The bank has published nothing",)),
        ("entity.show_merchant", {"id": "mer_1"}, ("Nothing of this merchant",)),
        ("paging.show", {}, ("No page of a stolen card in the last 1 hour",)),
    ],
)
def test_a_panel_without_rows_says_what_there_is_none_of(
    page_of: str, query: dict[str, str], said: tuple[str, ...], load: Load, show: Show
) -> None:
    load([])
    told = show(page_of, **query)
    assert [text for text in said if text not in told.text] == []


def test_every_panel_of_the_warehouse_says_how_old_it_is(load: Load, show: Show) -> None:
    paid = payment("pay_1", ago(60))
    load([paid, alert(paid)])
    for page_of, query in OF_WAREHOUSE[:-1]:
        told = show(page_of, **query)
        fresh = [said.value for said in told.app.caption if said.value.startswith("As of ")]
        assert len(fresh) >= len(told.app.header)


def test_what_strangers_write_is_shown_as_text_and_never_as_a_picture_or_link(
    load: Load, show: Show
) -> None:
    stranger = "<img src=//far.example/x> ![](//far.example/y)"
    paid = payment("pay_1", ago(60))
    load([paid, alert(paid, merchant_id=stranger, reason=stranger)])

    told = show("now.show")

    assert told.tables[ALERTS][0]["Merchant"] == stranger
    assert told.tables[ALERTS][0]["Why"] == stranger
    assert [html.body for html in told.app.html if "<img" in html.body] == []
    assert [text for text in told.app.markdown if "far.example" in text.value] == []


def test_the_application_opens_on_now(load: Load, show: Show) -> None:
    load([])
    app = show("now.show").app  # its command line stays
    entry = type(app).from_file(str(ROOT / "dashboard/app.py"), default_timeout=60).run()
    assert [title.value for title in entry.title] == ["Now"]


def test_on_one_machine_the_dashboard_needs_nothing_of_aws() -> None:
    without = "import sys; sys.modules.update(boto3=None, botocore=None)"
    pages = sorted(path.stem for path in (ROOT / "dashboard/views").glob("[a-z]*.py"))
    assert "scores" in pages
    subprocess.run(
        [sys.executable, "-c", f"{without}; from dashboard.views import {', '.join(pages)}"],
        cwd=ROOT,
        check=True,
    )
