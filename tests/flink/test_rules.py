"""Versions of a rule in the stream: the one in force at a payment's time judges the payment."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.flink.running import ROOT, Flink
from tests.flink.scenarios import DAY, Arrival, heartbeat, in_order, payment, rule

from cardwatch.cli import main

pytestmark = pytest.mark.flink

RULE = "large_amount"
IN_THE_ARTIFACT = (-(10**15), 1, 5_000)
"""When it was published, its number, its limit in euro: rules.yaml's, before any that was."""
VERSIONS = [(2_000 * number, number + 2, 1_000 * (7, 3, 9, 2, 5)[number]) for number in range(5)]
WEEK = 7 * DAY

Verdict = set[tuple[str, int]]
"""Which payments alerted, and by which version."""


def published() -> list[Arrival]:
    """Give the versions as published, and each again some times afterwards."""
    rng = random.Random(4)
    return [
        Arrival(again, rule(RULE, number, at, amounts={"EUR": str(limit)}))
        for at, number, limit in VERSIONS
        for again in (at, *(rng.randrange(at, 12_000) for _ in range(3)))
    ]


def payments(since: int = -2_000, until: int = 12_000) -> list[tuple[int, str, int, str]]:
    """Give payments of 200 cards: time, name, amount in euro and line."""
    rng = random.Random(8)
    found = []
    for number, time in enumerate(range(since, until)):
        amount = rng.randrange(1, 12_000)
        line = payment(str(number), rng.randrange(200), time, amount=str(amount))
        found.append((time, f"pay_{number}", amount, line))
    return found


def judged(paid: list[tuple[int, str, int, str]]) -> Verdict:
    """Give what is to alert, in plain Python: each payment by the newest version of its time."""
    verdict = set()
    for time, name, amount, _ in paid:
        _, number, limit = max(v for v in [IN_THE_ARTIFACT, *VERSIONS] if v[0] <= time)
        if amount > limit:
            verdict.add((name, number))
    return verdict


def said(records: list[dict[str, Any]]) -> Verdict:
    alerts = [record["event_json_data"] for record in records]
    found = {(alert["payment_ids"][0], alert["rule_version"]) for alert in alerts}
    assert len(found) == len(alerts), "an alert came twice"
    return found


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_each_payment_is_judged_by_the_version_of_its_time_at_any_parallelism(
    flink: Flink, parallelism: int
) -> None:
    paid = payments()
    lines = in_order([*published(), *(Arrival(time, line) for time, _, _, line in paid)])
    found = flink.detect(lines, parallelism=parallelism, detections=RULE)
    assert said(found) == judged(paid)
    assert len({number for _, number in judged(paid)}) == len(VERSIONS) + 1


@pytest.mark.parametrize("parallelism", [3, 4])
def test_it_is_the_same_when_versions_and_payments_stand_on_different_shards(
    flink: Flink, parallelism: int
) -> None:
    """A task for each shard, as a job has: the rules' one moves by its heartbeats."""
    paid = payments()
    beats = [Arrival(time, heartbeat(time)) for time in range(-2_000, 12_001, 100)]
    versions = in_order([*published(), *beats])
    halves = [[line for _, _, _, line in paid[half::2]] for half in (0, 1)]
    found = flink.detect(versions, *halves, parallelism=parallelism, detections=RULE)
    assert said(found) == judged(paid)


def test_a_job_without_state_a_week_after_the_publication_gives_the_same_alerts(
    flink: Flink,
) -> None:
    """It reads what the slices have published again, and the payments."""
    paid = payments(WEEK, WEEK + 2_000)
    newest = rule(RULE, 6, VERSIONS[-1][0], amounts={"EUR": "5000"})
    slices = [Arrival(at, newest) for at in range(WEEK - 1_000, WEEK + 2_000, 500)]
    tail = [*slices, *(Arrival(time, line) for time, _, _, line in paid)]
    since_then = [Arrival(at, heartbeat(at)) for at in range(0, WEEK, DAY // 4)]
    whole = flink.detect(in_order([*published(), *since_then, *tail]), detections=RULE)
    fresh = flink.detect(in_order(tail), detections=RULE)
    assert fresh == whole
    assert said(fresh) == judged(paid)


def test_until_the_first_slice_the_rules_of_the_artifact_hold(flink: Flink) -> None:
    before = [payment("small", "a", 0, amount="4000"), payment("large", "a", 1, amount="6000")]
    version = rule(RULE, 2, -WEEK, amounts={"EUR": "3000"})
    # Published a week ago, it comes when the watermark has passed the first two.
    after = [heartbeat(5_000), version, payment("then", "a", 6_000, amount="4000")]
    found = flink.detect([*before, *after, heartbeat(9_000)], detections=RULE)
    assert said(found) == {("pay_large", 1), ("pay_then", 2)}


def test_rules_are_tried_on_past_payments_beside_those_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tried file has half the limit; what was published in the file of events is left out."""
    past = tmp_path / "past.jsonl"
    amounts = [2_000, 3_000, 4_500, 5_500, 20_000, 30_000]
    paid = [payment(str(n), n, 60_000 * n, amount=str(a)) for n, a in enumerate(amounts)]
    lines = [rule(RULE, 9, -1_000, amounts={"EUR": "500"}), *paid, heartbeat(600_000)]
    past.write_text("".join(f"{line}\n" for line in lines))
    known = tmp_path / "known.yaml"
    known.write_text((ROOT / "rules.yaml").read_text(encoding="utf-8"))
    tried = tmp_path / "tried.yaml"
    tried.write_text(known.read_text().replace("EUR: 5000", "EUR: 2500"))
    command = ["rules", "try", str(tried), str(past), "--against", str(known)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    (row,) = [line.split() for line in said.splitlines() if line.split()[:1] == [RULE]]
    # Five of six in five minutes: 1,440 a day.
    assert row == [RULE, "5", "1,440", "3", "3", "2", "0", "-", "-"]
    assert "6 payments of 0 h 5 min 0 s" in said
    written = (tmp_path / "out" / "rule_alerts.jsonl").read_text().splitlines()
    of_it = [json.loads(line)["event_json_data"] for line in written]
    assert sorted(alert["paging"] for alert in of_it if alert["rule"] == RULE) == [
        *["on"] * 3,
        *["shadow"] * 5,
    ]
