"""The two clouds: AWS' published signatures and credentials, Google's signed claims and tokens."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from rollout.judge.checks import NoData, QueryFailed, Value
from rollout.judge.evidence.providers.sigv4 import Credentials, signed_headers
from tests.unit.http.server import Answered, Seen, reply, server
from tests.unit.judge.providers.support import NOW, answer, source

_WHEN = NOW.replace(year=2015, month=8, day=30, hour=12, minute=36)
_FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
_UTF8 = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)


# AWS' signature test suite and the worked example of its documentation.
@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "service", "signature"),
    [
        ("GET", "", (), b"", "service", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "", (), b"", "service", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "?Param2=value2&Param1=value1", (), b"", "service", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", "/ሴ", (), b"", "service", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ("POST", "", (("My-Header1", "value1"),), b"", "service", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ("POST", "", _FORM, b"Param1=value1", "service", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ("GET", "?Action=ListUsers&Version=2010-05-08", _UTF8, b"", "iam", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    ],
)  # fmt: skip
def test_signatures(
    method: str,
    url: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    service: str,
    signature: str,
) -> None:
    host = "iam.amazonaws.com" if service == "iam" else "example.amazonaws.com"
    got = dict(
        signed_headers(
            method=method,
            url=f"https://{host}{url if url.startswith('/') else '/' + url}",
            headers=headers,
            body=body,
            credentials=Credentials(
                access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
            ),
            region="us-east-1",
            service=service,
            now=_WHEN,
        )
    )
    assert got["Authorization"].endswith(f"Signature={signature}")


_KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret-key"}
_QUERY = '[{"id": "e1", "expression": "m1 / m2", "metricStat": {"Period": 60, "stat": "Sum"}}]'


async def test_cloudwatch_is_asked_for_the_listed_queries() -> None:
    answered = reply({"MetricDataResults": [{"Id": "e1", "Values": [1.5, 9.0]}]})
    with server(lambda _: answered) as running:
        origin = source("cloudwatch", address=running.address, region="eu-west-1")
        assert await answer(origin, _QUERY, environment=_KEYS) == Value(1.5)
    (seen,) = running.seen
    assert seen.headers["x-amz-target"] == "GraniteServiceVersion20100801.GetMetricData"
    scope = "Credential=AKID/20261121/eu-west-1/monitoring/aws4_request"
    assert scope in seen.headers["authorization"]
    assert seen.json == {
        "StartTime": NOW.timestamp() - 600,
        "EndTime": NOW.timestamp(),
        "MaxDatapoints": 20,
        "MetricDataQueries": [
            {"Id": "e1", "Expression": "m1 / m2", "MetricStat": {"Period": 60, "Stat": "Sum"}}
        ],
    }


@pytest.mark.parametrize(
    ("query", "answered", "expected"),
    [
        ("[]", {"MetricDataResults": [{"Values": []}]}, NoData("the first result has no value")),
        ("{}", {}, QueryFailed("the query is not a JSON list", retriable=False)),
    ],
)
async def test_cloudwatch_without_a_value(query: str, answered: object, expected: object) -> None:
    with server(lambda _: reply(answered)) as running:
        origin = source("cloudwatch", address=running.address, region="eu-west-1")
        assert await answer(origin, query, environment=_KEYS) == expected


async def test_cloudwatch_asks_in_the_name_of_a_web_identity(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("web-token\n")
    credentials = "".join(
        f"<{name}>{value}</{name}>"
        for name, value in {
            "AccessKeyId": "ASIA",
            "SecretAccessKey": "temporary",
            "SessionToken": "session",
            "Expiration": "2026-11-21T13:00:00Z",
        }.items()
    )

    def answered(seen: Seen) -> Answered:
        if seen.path == "/sts":
            return reply(f"<Credentials>{credentials}</Credentials>")
        return reply({"MetricDataResults": [{"Values": [2]}]})

    with server(answered) as running:
        environment = {
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ENDPOINT_URL_STS": f"{running.address}/sts",
        }
        origin = source("cloudwatch", address=running.address, region="eu-west-1")
        assert await answer(origin, "[]", environment=environment) == Value(2)
    sts, asked = running.seen
    assert sts.form["WebIdentityToken"] == "web-token"
    assert sts.form["RoleArn"] == "arn:aws:iam::1:role/r"
    assert asked.headers["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in asked.headers["authorization"]


async def test_cloudwatch_asks_in_the_name_of_its_container(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("pod-token")
    got = {
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "temporary",
        "Token": "session",
        "Expiration": "2026-11-21T13:00:00Z",
    }

    def answered(seen: Seen) -> Answered:
        pod = seen.headers.get("authorization") == "pod-token"
        return reply(got if pod else {"MetricDataResults": [{"Values": [3]}]})

    with server(answered) as running:
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{running.address}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        origin = source("cloudwatch", address=running.address, region="eu-west-1")
        assert await answer(origin, "[]", environment=environment) == Value(3)


def _base64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_stackdriver_exchanges_a_signed_claim_for_a_token() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def answered(seen: Seen) -> Answered:
        if seen.path == "/token":
            return reply({"access_token": "google-token", "expires_in": 3600})
        return reply({"timeSeriesData": [{"pointData": [{"values": [{"doubleValue": 1.5}]}]}]})

    with server(answered) as running:
        account = {
            "client_email": "sa@x.iam",
            "private_key": pem,
            "private_key_id": "k1",
            "token_uri": f"{running.address}/token",
        }
        secret = {"project": "acme", "serviceAccountKey": json.dumps(account)}
        origin = source("stackdriver", address=running.address, secret="creds")
        assert await answer(origin, "fetch x", secret) == Value(1.5)
    token, asked = running.seen
    header, claims, signature = token.form["assertion"].split(".")
    key.public_key().verify(_base64(signature), f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    assert json.loads(_base64(claims)) == {
        "iss": "sa@x.iam",
        "scope": "https://www.googleapis.com/auth/monitoring.read",
        "aud": account["token_uri"],
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }
    assert (asked.path, asked.json) == (
        "/v3/projects/acme/timeSeries:query",
        {"query": "fetch x"},
    )
    assert asked.headers["authorization"] == "Bearer google-token"


async def test_stackdriver_names_a_key_that_is_none() -> None:
    secret = {"project": "acme", "serviceAccountKey": "{}"}
    got = await answer(source("stackdriver", address="http://x", secret="creds"), "q", secret)
    assert isinstance(got, QueryFailed)
    assert "serviceAccountKey is not a service account's JSON key" in got.reason
