"""Answers of metadata services, and the notices in them."""

import json

import pytest

from cnflow.vm_agent.notices import Answer, parse_azure, parse_ec2, parse_google

DATE = "Wed, 25 Nov 2026 13:58:30 GMT"
EC2 = json.dumps({"action": "terminate", "time": "2026-11-25T14:00:00Z"})


def test_notice_of_ec2_counts_by_the_clock_of_its_service():
    notice = parse_ec2(Answer(200, EC2, DATE))
    assert notice.left == 90
    assert "'terminate' on this spot instance at 2026-11-25T14:00:00Z" in notice.words


def test_notice_of_ec2_without_a_clock_leaves_what_is_promised():
    assert parse_ec2(Answer(200, EC2)).left == 110


def test_notice_of_ec2_never_leaves_more_than_is_promised():
    assert parse_ec2(Answer(200, EC2, "Wed, 25 Nov 2026 11:00:00 GMT")).left == 120
    assert parse_ec2(Answer(200, EC2, "Wed, 25 Nov 2026 15:00:00 GMT")).left == 0


@pytest.mark.parametrize("answer", [Answer(404, ""), Answer(401, ""), Answer(200, "<html>"), Answer(200, "[]")])
def test_ec2_without_a_notice_gives_none(answer):
    assert parse_ec2(answer) is None


def test_preempted_machine_of_google_has_half_a_minute():
    assert parse_google(Answer(200, "TRUE")).left == 30
    assert parse_google(Answer(200, "FALSE")) is None
    assert parse_google(Answer(503, "TRUE")) is None


def test_azure_announces_evictions_among_other_events():
    events = {"Events": [{"EventType": "Reboot"}, {"EventType": "Preempt"}]}
    assert "'Preempt'" in parse_azure(Answer(200, json.dumps(events))).words
    assert parse_azure(Answer(200, json.dumps({"Events": [{"EventType": "Reboot"}]}))) is None
    assert parse_azure(Answer(410, "")) is None
