"""Who asks: signatures in headers, in the query, in forms, and in streams; and all that
is wrong about them."""

import json
import zlib

import sigv4
from suite import *

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def crc32(content):
    return "x-amz-checksum-crc32", b64(zlib.crc32(content).to_bytes(4, "big"))


def test_the_header():
    name = bucket()
    status, _, content = sigv4.send("PUT", f"/{name}/a", b"abc")
    assert status == 200, content
    assert sigv4.send("PUT", f"/{name}/b", b"abc", payload=sigv4.UNSIGNED)[0] == 200
    assert sigv4.send("GET", f"/{name}/a")[2] == b"abc"
    hour = sigv4.datetime.timedelta(hours=1)
    for told, code in [
        (dict(keys=("UNKNOWN", "x")), "InvalidAccessKeyId"),
        (dict(keys=(ONE[0], "wrong")), "SignatureDoesNotMatch"),
        (dict(when=sigv4.now() - hour), "RequestTimeTooSkewed"),
        (dict(when=sigv4.now() + hour), "RequestTimeTooSkewed"),
    ]:
        status, _, content = sigv4.send("GET", f"/{name}/a", **told)
        assert (status, code_of(content)) == (403, code), content
    # What was signed is another content.
    signed, _ = sigv4.headers("PUT", f"/{name}/c", hashlib.sha256(b"abc").hexdigest())
    status, _, content = raw("PUT", f"/{name}/c", signed, b"abd")
    assert (status, code_of(content)) == (400, "XAmzContentSHA256Mismatch"), content
    # What was signed is another request.
    for target in [f"/{name}/b", f"/{name}/a?acl", f"/{name}//a"]:
        signed, _ = sigv4.headers("GET", f"/{name}/a", sigv4.EMPTY)
        assert raw("GET", target, signed)[0] == 403, target
    signed, _ = sigv4.headers("GET", f"/{name}/a", sigv4.EMPTY)
    assert code_of(raw("GET", f"/{name}/a", {**signed, "x-amz-date": "20200101T000000Z"})[2]) in (
        "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
    for broken in ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=/////", "Bearer x", "AWS a:b",
                   signed["Authorization"][:-10], signed["Authorization"].replace("us-east-1", "mars"),
                   signed["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")]:
        status, _, content = raw("GET", f"/{name}/a", {**signed, "Authorization": broken})
        assert status in (400, 403), (broken, status, content)
    # A header with weight that nobody signed.
    status, _, content = raw("GET", f"/{name}/a", {**signed, "x-amz-security-token": "x"})
    assert status in (400, 403), content


def test_nobody():
    name = bucket()
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    status, _, content = raw("GET", f"/{name}/a")
    assert (status, code_of(content)) == (403, "AccessDenied")
    assert raw("PUT", f"/{name}/a", data=b"2")[0] == 403
    assert raw("DELETE", f"/{name}")[0] == 403
    status, _, content = raw("GET", "/")
    assert status in (403, 307) or b"<Bucket>" not in content, "nobody's buckets"
    with refused("AccessDenied", 403):
        get(name, "a", s3=other)


def test_presigned():
    name = bucket()
    s3.put_object(Bucket=name, Key="a b/ü", Body=b"1")
    for method, key in [("get_object", "a b/ü"), ("put_object", "new"), ("delete_object", "new")]:
        url = client(signature_version="s3v4").generate_presigned_url(
            method, Params={"Bucket": name, "Key": key}, ExpiresIn=60)
        target = url[len(ENDPOINT):]
        verb = method.split("_")[0].upper()
        status, _, content = raw(verb, target, data=b"xyz" if verb == "PUT" else None)
        assert status in (200, 204), content
        assert raw("POST" if verb != "POST" else "GET", target)[0] in (403, 405, 400)
        spoiled = target.replace("X-Amz-Signature=", "X-Amz-Signature=0")[:-1]
        assert code_of(raw(verb, spoiled, data=b"" if verb == "PUT" else None)[2]) == "SignatureDoesNotMatch"
    url = client(signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": name, "Key": "a b/ü"}, ExpiresIn=1)
    import time
    time.sleep(2.1)
    status, _, content = raw("GET", url[len(ENDPOINT):])
    assert (status, code_of(content)) == (403, "AccessDenied"), content


def form(fields, content, file_name="f.txt"):
    border = "----border"
    lines = []
    for name, value in fields.items():
        lines.append(f'--{border}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    lines.append(f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
                 "Content-Type: text/plain\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(lines) + f"--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


def post(name, fields, content):
    data, kind = form(fields, content)
    return raw("POST", f"/{name}", {"Content-Type": kind}, data)


def test_forms():
    name = bucket()
    signer = client(signature_version="s3v4")
    conditions = [["content-length-range", 1, 200_000], ["starts-with", "$x-amz-meta-a", "v"]]
    made = signer.generate_presigned_post(name, "up/${filename}", Conditions=conditions, ExpiresIn=60)
    for content in [b"1", body(150_000)]:
        status, _, answer = post(name, {**made["fields"], "x-amz-meta-a": "value"}, content)
        assert status == 204, answer
        assert get(name, "up/f.txt") == content
    assert s3.head_object(Bucket=name, Key="up/f.txt")["Metadata"] == {"a": "value"}
    status, headers, answer = post(name, {**made["fields"], "x-amz-meta-a": "v", "success_action_status": "201"}, b"1")
    assert status == 403, "a field that the policy does not name"
    for fields, content, code in [
        ({"x-amz-meta-a": "wrong"}, b"1", "AccessDenied"),
        ({"x-amz-meta-a": "v"}, b"", "EntityTooSmall"),
        ({"x-amz-meta-a": "v"}, body(200_001), "EntityTooLarge"),
        ({"x-amz-meta-a": "v", "policy": b64(json.dumps({"expiration": "2099-01-01T00:00:00Z", "conditions": []}).encode())}, b"1", "SignatureDoesNotMatch"),
        ({"x-amz-meta-a": "v", "policy": "no base64!"}, b"1", None),
    ]:
        status, _, answer = post(name, {**made["fields"], **fields}, content)
        assert status in (400, 403), answer
        assert code is None or code_of(answer) == code, answer
    assert raw("POST", f"/{name}", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nnonsense")[0] == 400


def test_streams():
    name = bucket()
    for size in [0, 1, 65_535, 65_536, 65_537, 300_000, 2_000_000]:
        content = body(size, size)
        for mode, trailer in [(SIGNED, None), (SIGNED_TRAILER, crc32(content)), (UNSIGNED_TRAILER, crc32(content))]:
            for chunk in [8_192, 65_536, 1 << 20]:
                status, _, answer = sigv4.stream(f"/{name}/a", content, mode, chunk, trailer)
                assert status == 200, (size, mode, chunk, answer)
                assert get(name, "a") == content, (size, mode, chunk)


def test_streams_that_are_wrong():
    name = bucket()
    content = body(200_000)
    zero = lambda head: head[:-4] + "0000"
    cases = {
        "the signature of a chunk": (SIGNED, dict(spoil={1: zero}), 403),
        "the signature of the first": (SIGNED, dict(spoil={0: zero}), 403),
        "the signature of the last": (SIGNED, dict(spoil={4: zero}), 403),
        "no signature": (SIGNED, dict(spoil={0: lambda head: head.split(";")[0]}), 400),
        "another content": (SIGNED, dict(change=lambda sent: sent.replace(content[100:110], b"x" * 10)), 403),
        "a length that is none": (SIGNED, dict(spoil={1: lambda head: "zz" + head}), 400),
        "a length without end": (SIGNED, dict(spoil={1: lambda head: "f" * 40 + head}), 400),
        "a chunk that is too long": (SIGNED, dict(spoil={0: lambda head: "7fffffff" + head[head.index(";"):]}), 400),
        "more than was said": (SIGNED, dict(length=199_999), 400),
        "less than was said": (SIGNED, dict(length=200_001), 400),
        "the signature of the trailer": (SIGNED_TRAILER, dict(trailer=crc32(content), spoil={"trailer": zero}), 403),
        "the checksum": (SIGNED_TRAILER, dict(trailer=crc32(b"other")), 400),
        "the checksum, unsigned": (UNSIGNED_TRAILER, dict(trailer=crc32(b"other")), 400),
        "another trailer": (UNSIGNED_TRAILER, dict(trailer=("x-amz-checksum-crc32", "x")), 400),
        "the end is missing": (UNSIGNED_TRAILER, dict(trailer=crc32(content), change=lambda sent: sent[:150_000]), 400),
        "a head that does not end": (UNSIGNED_TRAILER, dict(trailer=crc32(content), change=lambda sent: b"1" * 100_000), 400),
    }
    for what, (mode, more, status) in cases.items():
        answered, _, answer = sigv4.stream(f"/{name}/a", content, mode, 65_536, **more)
        assert answered == status, (what, answered, answer)
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0, "nothing of it was stored"
    assert sigv4.stream(f"/{name}/a", content, "STREAMING-SOMETHING-ELSE")[0] in (400, 501)


def test_version_2_is_refused_clearly():
    name = bucket()
    status, _, content = raw("GET", f"/{name}", {"Authorization": "AWS TESTONE:c2lnbmF0dXJl", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"})
    assert status in (400, 403) and b"AWS4-HMAC-SHA256" in content, content
    with refused("InvalidRequest", 400):
        client(signature_version="s3").list_buckets()


run(globals())
