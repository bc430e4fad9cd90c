"""CloudFormation templates as data."""

from pathlib import Path
from typing import Any

import pytest

from cardwatch.deployment.template import Evaluation, TemplateError, read_template

TEXT = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Platform: { Type: String, Default: aws }
  Shards: { Type: Number, Default: 2 }
  Zones: { Type: CommaDelimitedList, Default: "a, b" }
  KeyArn: { Type: String }
Mappings:
  Sizes: { aws: { large: 8 }, local: { large: 1 } }
Conditions:
  IsLocal: !Equals [!Ref Platform, local]
  OnAws: !Not [!Condition IsLocal]
  Both: !And [!Condition OnAws, !Equals [!Ref Shards, "2"]]
  Any: !Or [!Condition IsLocal, !Equals [true, "true"]]
Resources:
  Stream: { Type: AWS::Kinesis::Stream, Properties: { ShardCount: !Ref Shards } }
  Queue:
    Type: AWS::SQS::Queue
    Condition: IsLocal
    Properties:
      Name: !Sub "${AWS::Region}-${Shards}-${Stream.Arn}-${!kept}"
      Size: !FindInMap [Sizes, !Ref Platform, large]
  Topic:
    Type: AWS::SNS::Topic
    Condition: Both
    Properties:
      Key: !If [OnAws, !Ref KeyArn, !Ref AWS::NoValue]
      Gone: !If [IsLocal, x, !Ref AWS::NoValue]
      Arn: !GetAtt Stream.Arn
      Zones: !Ref Zones
      Second: !Select [1, !Ref Zones]
      Joined: !Join ["-", [!Ref Shards, true, !Ref Stream]]
      Parts: !Split [":", "a:b"]
      Mapped: !Sub ["${Name}/*", { Name: !GetAtt Stream.Arn }]
      Subnets: !Cidr [10.0.0.0/16, 3, 8]
      Statement: [{ Effect: Allow, Condition: { Bool: { "aws:SecureTransport": "false" } } }]
"""


def resources(tmp_path: Path, **given: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    path = tmp_path / "template.yaml"
    path.write_text(TEXT)
    pseudo = {"AWS::Region": "eu-west-1"}
    return Evaluation(read_template(path), {**pseudo, **given}).resources()


def test_a_resource_exists_only_where_its_condition_holds(tmp_path: Path) -> None:
    assert set(resources(tmp_path)) == {"Stream", "Topic"}
    assert set(resources(tmp_path, Platform="local")) == {"Stream", "Queue"}
    assert set(resources(tmp_path, Shards=3)) == {"Stream"}


def test_what_parameters_decide_is_evaluated_and_the_rest_says_what_it_refers_to(
    tmp_path: Path,
) -> None:
    assert resources(tmp_path, Platform="local")["Queue"]["Properties"] == {
        "Name": "eu-west-1-2-${Stream.Arn}-${kept}",
        "Size": 1,
    }
    assert resources(tmp_path)["Topic"]["Properties"] == {
        "Key": "${KeyArn}",
        "Arn": "${Stream.Arn}",
        "Zones": ["a", "b"],
        "Second": "b",
        "Joined": "2-true-${Stream}",
        "Parts": ["a", "b"],
        "Mapped": "${Stream.Arn}/*",
        "Subnets": {"Fn::Cidr": ["10.0.0.0/16", 3, 8]},
        "Statement": [{"Effect": "Allow", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}],
    }


def test_an_unknown_condition_is_named(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Resources: { A: { Type: T, Condition: Missing } }")
    with pytest.raises(TemplateError, match="no condition Missing"):
        Evaluation(read_template(path)).resources()


@pytest.mark.parametrize(
    ("text", "said"), [("Resources: [", "no YAML"), ("Parameters: {}", "no Resources")]
)
def test_what_is_no_template_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=said):
        read_template(path)
