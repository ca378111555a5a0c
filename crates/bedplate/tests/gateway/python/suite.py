"""What the suites in this directory share: clients, raw requests, and a runner.

A suite is a file with functions named `test_*`. It is started with the address of a
gateway and its access keys in the environment, runs them all, and fails when one does.
Nothing here is ours but the questions: the clients are boto3 and the Python library."""

import base64
import contextlib
import hashlib
import http.client
import os
import sys
import traceback
import urllib.parse
import xml.etree.ElementTree as ElementTree

import boto3
import botocore.exceptions
from botocore.config import Config

ENDPOINT = os.environ["GATEWAY"]
ENDPOINT_TLS = os.environ.get("GATEWAY_TLS")
CERTIFICATE = os.environ.get("GATEWAY_CERTIFICATE")
REGION = "us-east-1"
# Access keys of two accounts, made for the tests.
ONE = ("TESTONE", "secret of the first account")
TWO = ("TESTTWO", "secret of the second account")
HOST = urllib.parse.urlsplit(ENDPOINT).netloc


def client(keys=ONE, tls=False, **config):
    """boto3's client for S3. It does not try again: what fails is to be seen."""
    config.setdefault("retries", {"max_attempts": 0})
    config.setdefault("s3", {"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT_TLS if tls else ENDPOINT,
        verify=CERTIFICATE if tls else None,
        region_name=REGION,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(**config),
    )


s3 = client()
other = client(TWO)
_serial = 0


def bucket(**settings):
    """Makes a bucket; its name."""
    global _serial
    _serial += 1
    name = f"{os.path.basename(sys.argv[0]).split('.')[0]}-{_serial}"
    s3.create_bucket(Bucket=name, **settings)
    return name


def body(length, seed=1):
    """Bytes that tell where they are."""
    block = hashlib.sha512(str(seed).encode()).digest()
    out = bytearray()
    number = 0
    while len(out) < length:
        out += number.to_bytes(8, "big") + block[:56]
        number += 1
    return bytes(out[:length])


def get(name, key, s3=s3, **more):
    return s3.get_object(Bucket=name, Key=key, **more)["Body"].read()


@contextlib.contextmanager
def refused(code, status=None):
    """What is done inside must be refused with this code of S3."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]["Code"]
        known = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == code, f"{code} wanted: {error}"
        assert status is None or known == status, f"status {status} wanted, {known} came"
    else:
        raise AssertionError(f"it was done, and {code} was wanted")


def raw(method, target, headers=None, data=None):
    """A request as it is written here: status, headers in small letters, content."""
    connection = http.client.HTTPConnection(HOST, timeout=60)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    headers = dict(headers or {})
    headers.setdefault("Host", HOST)
    if data is not None and not any(name.lower() == "content-length" for name in headers):
        headers["Content-Length"] = str(len(data))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    if data is not None:
        try:
            connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It was refused before all of it was read.
    reply = connection.getresponse()
    answer = reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    connection.close()
    return answer


def code_of(content):
    """The code in an error's document."""
    return ElementTree.fromstring(content).findtext("Code")


def b64(raw_bytes):
    return base64.b64encode(raw_bytes).decode()


def run(names):
    """Runs the tests among these names."""
    failed = []
    for name, test in list(names.items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(failed)} failed {failed}")
    sys.exit(1 if failed else 0)
