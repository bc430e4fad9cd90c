"""Every folder <detection>/<case> through real Flink, each with that detection alone.

case.md asks the question and answers it; input.jsonl is the stream as it arrives; expected.jsonl is
all that the detection says, in a replay's order and without detected_at. A summary repeats itself
360 times per payment, so of a row of equal fires only the first and the last are written down.
"""

import json
from pathlib import Path

import pytest
from tests.flink.running import Flink, turning_points

pytestmark = pytest.mark.flink

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE) for path in HERE.glob("*/*/case.md"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_detection_says_exactly_what_the_case_expects(flink: Flink, case: Path) -> None:
    folder = HERE / case
    detection = case.parts[0]
    lines = (folder / "input.jsonl").read_text(encoding="utf-8").splitlines()
    found = flink.detect(lines, detections=detection)
    if detection == "payment_alert_summary":
        found = turning_points(found)
    expected = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    assert found == [json.loads(line) for line in expected]
