"""Metrics as a function prints them: CloudWatch's embedded metric format."""

import json


def metric_names(output: str) -> set[str]:
    """Give the names of all metrics in what a function printed."""
    return {
        metric["Name"]
        for line in output.splitlines()
        if '"_aws"' in line
        for directive in json.loads(line)["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    } - {"ColdStart"}
