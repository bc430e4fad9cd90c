"""An audit's report, for people and for programs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from cardwatch.audit.completeness import CAUSES, DEFECTS, AuditReport, Finding
from cardwatch.audit.repair import RepairReport
from cardwatch.contract.fields import format_time

LISTED: Final = 20
"""How many findings people are shown one by one; programs get all."""
NOTHING_MISSING: Final = 0
DEFECT: Final = 1
MISSING: Final = 3
"""Exit statuses; 2 is a command that was not understood."""


def exit_status(report: AuditReport, repaired: RepairReport | None) -> int:
    """Say how the audit ended: the worst of what was found and is not repaired."""
    if report.defects:
        return DEFECT
    if not report.missing or (repaired is not None and repaired.complete):
        return NOTHING_MISSING
    return MISSING


def for_people(
    report: AuditReport, since: datetime | None, repaired: RepairReport | None
) -> Iterator[str]:
    """Give the lines of a report: counts, then the worst findings one by one."""
    if report.as_of is None:
        yield "nothing is loaded yet: there is nothing to audit"
        return
    scope = "all that is loaded" if since is None else f"what was loaded since {_time(since)}"
    yield f"audited {scope}, up to {_time(report.as_of)}"
    missing = report.owed - report.alerted
    yield f"{report.owed} payments should have alerted, {report.alerted} did, {missing} not so far"
    if report.waiting:
        yield f"{report.waiting} may still be on their way: loaded in the last minutes"
    for (kind, cause), count in report.counts.items():
        mark = "DEFECT  " if (kind, cause) in DEFECTS else "        "
        yield f"{mark}{count:>6} {kind:<8} {cause}: {CAUSES[kind, cause]}"
    # Defects first: a storm of what is expected must not hide one. Late ones did alert.
    listed = sorted(
        (finding for finding in report.findings if finding.kind != "late"),
        key=lambda finding: not finding.is_defect,
    )
    yield from map(_line, listed[:LISTED])
    if len(listed) > LISTED:
        yield f"and {len(listed) - LISTED} more: --json has all"
    if repaired is not None:
        yield from _repaired(repaired)
    elif report.missing:
        yield "--repair puts the missing alerts on the stream"


def for_programs(
    report: AuditReport, since: datetime | None, repaired: RepairReport | None
) -> dict[str, Any]:
    """Give a report as JSON has it: times as the contract writes them, every finding."""
    return {
        "as_of": _written(report.as_of),
        "since": _written(since),
        "next_since": _written(report.next_since),
        "owed": report.owed,
        "alerted": report.alerted,
        "waiting": report.waiting,
        "defects": report.defects,
        "counts": [
            {"kind": kind, "cause": cause, "count": count}
            for (kind, cause), count in report.counts.items()
        ],
        "findings": [
            {
                "kind": finding.kind,
                "cause": finding.cause,
                "defect": finding.is_defect,
                "happened_at": format_time(finding.happened_at),
                "payment_id": finding.payment_id,
                "card_token": finding.card_token,
                "alert_id": finding.alert_id,
            }
            for finding in report.findings
        ],
        "repaired": None
        if repaired is None
        else {
            "put": repaired.put,
            "unmade": repaired.unmade,
            "undelivered": dict(repaired.undelivered),
        },
    }


def _line(finding: Finding) -> str:
    what = finding.payment_id or "payment unknown"
    alert = f", alert {finding.alert_id}" if finding.alert_id else ""
    return f"{finding.kind:<8} {finding.cause:<20} {_time(finding.happened_at)}  {what}{alert}"


def _repaired(repaired: RepairReport) -> Iterator[str]:
    yield f"put {repaired.put} alerts on the stream"
    if repaired.unmade:
        yield (
            f"{repaired.unmade} in quarantine cannot be made into alerts: "
            "`cardwatch backfill --only quarantine` once their fault is mended"
        )
    for code, count in repaired.undelivered.items():
        yield f"the stream did not take {count} ({code}): run it again"


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _written(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)
