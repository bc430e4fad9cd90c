"""Apply the SAM transform as AWS does, for the checks that look at what is really deployed.

    .venvs/sam/bin/python tools/transform.py --out FOLDER template.yaml infra/detection.yaml

It runs on the Python of the `sam` environment, which carries AWS's translator; needs no network
and no credentials. Each template gives FOLDER/<name>.json. --unconditional leaves out resources'
conditions: a scanner that looks at the defaults alone would not see what a parameter switches on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from samcli.lib.translate.sam_template_validator import (  # type: ignore[import-not-found]
    SamTemplateValidator,
)
from samcli.yamlhelper import yaml_parse  # type: ignore[import-not-found]


class NoManagedPolicies:
    """Stands for the list of AWS managed policies, which only an account can give."""

    def load(self) -> dict[str, str]:
        """Give none: cardwatch's templates name policies by ARN or write them out."""
        return {}


def transform(path: Path) -> dict[str, Any]:
    """Give the template with every AWS::Serverless resource expanded, in long form."""
    validator = SamTemplateValidator(
        yaml_parse(path.read_text(encoding="utf-8")),
        NoManagedPolicies(),
        region=os.environ.get("AWS_REGION", "us-east-1"),
    )
    transformed: dict[str, Any] = yaml_parse(validator.get_translated_template_if_valid())
    return transformed


def main() -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--unconditional", action="store_true")
    parser.add_argument("templates", type=Path, nargs="+")
    arguments = parser.parse_args()
    # The translator counts what templates use and warns where nobody collects its counts.
    logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for former in arguments.out.glob("*.json"):
        former.unlink()
    for path in arguments.templates:
        template = transform(path)
        if arguments.unconditional:
            for resource in template["Resources"].values():
                resource.pop("Condition", None)
        result = arguments.out / f"{path.stem}.json"
        result.write_text(json.dumps(template, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
