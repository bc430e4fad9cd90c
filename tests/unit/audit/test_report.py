"""What an audit says to people and to programs, and how it ends."""

import json

import pytest
from tests.unit.audit.support import FakeStagedEvents, at, paid
from tests.unit.audit.test_completeness import (
    KEPT,
    SEEDED,
    a_good_day,
    late,
    lost,
    reported_later,
)

from cardwatch.audit.completeness import AuditReport, audit
from cardwatch.audit.repair import RepairReport
from cardwatch.audit.report import LISTED, exit_status, for_people, for_programs


def look(staged: FakeStagedEvents) -> AuditReport:
    return audit(staged.read(None), kept=KEPT)


def everything() -> AuditReport:
    staged = a_good_day()
    for seed, _ in SEEDED.values():
        seed(staged)
    return look(staged)


COMPLETE = RepairReport(put=1, unmade=0, undelivered={})
NOT_TAKEN = RepairReport(put=0, unmade=0, undelivered={"Throttled": 1})


def test_it_ends_with_0_when_nothing_is_missing_though_something_was_late() -> None:
    staged = a_good_day()
    late(staged)
    assert exit_status(look(staged), None) == 0


def test_it_ends_with_3_when_something_is_missing_until_all_of_it_is_on_the_stream() -> None:
    staged = a_good_day()
    reported_later(staged)
    report = look(staged)
    assert exit_status(report, None) == 3
    assert exit_status(report, NOT_TAKEN) == 3
    assert exit_status(report, COMPLETE) == 0


def test_it_ends_with_1_for_a_defect_repaired_or_not() -> None:
    staged = a_good_day()
    lost(staged)
    report = look(staged)
    assert [exit_status(report, done) for done in (None, NOT_TAKEN, COMPLETE)] == [1, 1, 1]


def test_people_are_told_the_counts_and_the_payments_defects_first() -> None:
    staged = a_good_day()
    lost(staged)
    reported_later(staged)
    assert list(for_people(look(staged), at(-60), None)) == [
        "audited what was loaded since 2026-01-15 09:59:00 UTC, up to 2026-01-15 11:00:00 UTC",
        "12 payments should have alerted, 10 did, 2 not so far",
        "DEFECT       1 missing  lost: the stream knew of the theft and said nothing",
        "             1 missing  reported_later: the theft began before it was reported",
        "missing  lost                 2026-01-15 10:00:05 UTC  pay_lost",
        "missing  reported_later       2026-01-15 10:00:05 UTC  pay_early",
        "--repair puts the missing alerts on the stream",
    ]


def test_a_storm_of_what_is_expected_hides_no_defect_and_is_counted() -> None:
    staged = a_good_day()
    for number in range(LISTED + 5):
        staged.load(at(10), paid(f"a_{number}", "early", 4))
    reported_later(staged)
    lost(staged)
    lines = list(for_people(look(staged), None, COMPLETE))
    assert "pay_lost" in lines[4]
    assert lines[-2:] == ["and 7 more: --json has all", "put 1 alerts on the stream"]


def test_nothing_loaded_is_said_so() -> None:
    lines = list(for_people(look(FakeStagedEvents()), None, None))
    assert lines == ["nothing is loaded yet: there is nothing to audit"]


def test_programs_get_every_finding_and_where_to_go_on() -> None:
    report = everything()
    said = json.loads(json.dumps(for_programs(report, None, NOT_TAKEN)))
    assert (said["as_of"], said["next_since"]) == (
        "2026-01-15T11:00:00.000Z",
        "2026-01-15T10:57:00.000Z",
    )
    assert len(said["findings"]) == len(report.findings) == sum(c["count"] for c in said["counts"])
    assert sum(finding["defect"] for finding in said["findings"]) == said["defects"]
    assert said["repaired"] == {"put": 0, "unmade": 0, "undelivered": {"Throttled": 1}}
    assert for_programs(report, None, None)["repaired"] is None


@pytest.mark.parametrize(
    ("repaired", "last"),
    [
        (NOT_TAKEN, "the stream did not take 1 (Throttled): run it again"),
        (
            RepairReport(put=0, unmade=2, undelivered={}),
            (
                "2 in quarantine cannot be made into alerts: `cardwatch backfill --only "
                "quarantine` once their fault is mended"
            ),
        ),
    ],
)
def test_what_a_repair_could_not_do_is_said_with_what_to_do(
    repaired: RepairReport, last: str
) -> None:
    assert list(for_people(everything(), None, repaired))[-1] == last
