"""Scenarios without Flink: the specification of the detections says what the job would."""

from tests.flink.oracle import detect

from cardwatch.golden.comparison import differences
from cardwatch.golden.found import Found, find
from cardwatch.golden.scenario import Scenario, parse_scenario
from cardwatch.golden.script import write_scripts


def scenario(events: str, expect: str = "{alerts: [], pages: []}", more: str = "") -> Scenario:
    """Give one of two cards, anna's stolen since yesterday."""
    text = f"""
question: What comes of this?
cards: [anna, ben]
{more}
events:
  - {{at: 0 s, reported: anna, from: -1 d}}
{events}
expect: {expect}
"""
    return parse_scenario(text, "mine.yaml")


def played(**scenarios: Scenario) -> dict[str, Found]:
    """Give by name what comes of scenarios on one stream."""
    scripts = write_scripts(scenarios)
    lines = [record.data.decode() for script in scripts for record in script.records]
    said = detect(lines)
    alerts = [record for record in said if record["type"] == "PAYMENT_ALERT"]
    summaries = [record for record in said if record["type"] == "PAYMENT_ALERT_SUMMARY"]
    return {script.name: find(script, alerts, summaries, ()) for script in scripts}


def broken(said: Scenario) -> list[str]:
    """Give what is otherwise than a scenario expects."""
    return differences(said.expect, played(mine=said)["mine"])
