"""Who may do what: policies, access lists, blocks, other sites' pages (CORS)."""

import json

from suite import *


def policy(name, *statements):
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def statement(name, effect, actions, keys="/*", principal="*", **more):
    return {"Effect": effect, "Principal": principal, "Action": actions,
            "Resource": [f"arn:aws:s3:::{name}{keys}"], **more}


def test_a_policy_allows_and_denies():
    name = bucket()
    s3.put_object(Bucket=name, Key="public/a", Body=b"1")
    s3.put_object(Bucket=name, Key="public/secret", Body=b"2")
    assert raw("GET", f"/{name}/public/a")[0] == 403
    policy(name, statement(name, "Allow", "s3:GetObject", "/public/*"),
           statement(name, "Deny", "s3:GetObject", "/public/secret"))
    assert raw("GET", f"/{name}/public/a")[2] == b"1"
    assert get(name, "public/a", s3=other) == b"1"
    assert raw("GET", f"/{name}/public/secret")[0] == 403
    assert raw("PUT", f"/{name}/public/a", data=b"x")[0] == 403
    with refused("AccessDenied", 403):
        get(name, "public/secret")
    assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"]
    # What is kept is not given to who may no more have it.
    for _ in range(3):
        assert raw("GET", f"/{name}/public/a")[0] == 200
    s3.delete_bucket_policy(Bucket=name)
    assert raw("GET", f"/{name}/public/a")[0] == 403
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=name)


def test_conditions_of_a_policy():
    name = bucket()
    s3.put_object(Bucket=name, Key="a", Body=b"1", Tagging="open=yes")
    s3.put_object(Bucket=name, Key="b", Body=b"1", Tagging="open=no")
    policy(name, statement(name, "Allow", "s3:GetObject", Condition={
        "StringEquals": {"s3:ExistingObjectTag/open": "yes"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    assert raw("GET", f"/{name}/a")[0] == 200 and raw("GET", f"/{name}/b")[0] == 403
    policy(name, statement(name, "Allow", "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert raw("GET", f"/{name}/a")[0] == 403
    policy(name, statement(name, "Deny", "s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    with refused("AccessDenied", 403):
        get(name, "a")
    assert get(name, "a", s3=client(tls=True)) == b"1"
    # The owner can take it back from wherever he is.
    client(tls=True).delete_bucket_policy(Bucket=name)


def test_policies_that_are_none():
    name = bucket()
    for text in ["", "{", "[]", "{}", '{"Version":"2012-10-17","Statement":[]}', json.dumps({"Statement": "x"}),
                 json.dumps({"Version": "2012-10-17", "Statement": [statement("elsewhere", "Allow", "s3:GetObject")]}),
                 json.dumps({"Version": "2012-10-17", "Statement": [statement(name, "Perhaps", "s3:GetObject")]}),
                 "[" * 100_000, '{"Statement":' * 1000, json.dumps({"Version": "x" * 30_000})]:
        try:
            s3.put_bucket_policy(Bucket=name, Policy=text)
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, (text[:50], error)
        else:
            assert '"Statement":[]' in text, text[:50]


def test_access_lists_and_blocks():
    name = bucket(ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=name, Key="a", Body=b"1", ACL="public-read")
    s3.put_object(Bucket=name, Key="b", Body=b"1")
    assert raw("GET", f"/{name}/a")[0] == 200 and raw("GET", f"/{name}/b")[0] == 403
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration={
        "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True})
    assert raw("GET", f"/{name}/a")[0] == 403
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=name, Key="c", Body=b"1", ACL="public-read")
    with refused("AccessDenied", 403):
        policy(name, statement(name, "Allow", "s3:GetObject"))
    s3.delete_public_access_block(Bucket=name)
    assert raw("GET", f"/{name}/a")[0] == 200
    s3.put_bucket_acl(Bucket=name, ACL="public-read-write")
    assert raw("PUT", f"/{name}/anonymous", data=b"x")[0] == 200
    s3.put_bucket_acl(Bucket=name, ACL="private")
    assert raw("PUT", f"/{name}/anonymous", data=b"x")[0] == 403
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    with refused("AccessControlListNotSupported", 400):
        s3.put_object_acl(Bucket=name, Key="a", ACL="public-read")


def test_other_sites():
    name = bucket()
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=name)
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [
        {"AllowedOrigins": ["https://*.example.org"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-*"],
         "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 7}]})
    asks = {"Origin": "https://a.example.org", "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "X-One, x-two"}
    status, headers, _ = raw("OPTIONS", f"/{name}/a", asks)
    assert status == 200 and headers["access-control-allow-origin"] == "https://a.example.org"
    assert headers["access-control-max-age"] == "7" and "PUT" in headers["access-control-allow-methods"]
    for wrong in [{"Origin": "https://example.com"}, {"Access-Control-Request-Method": "DELETE"},
                  {"Access-Control-Request-Headers": "content-type"}]:
        assert raw("OPTIONS", f"/{name}/a", {**asks, **wrong})[0] == 403, wrong
    url = client(signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a"})
    _, headers, _ = raw("GET", url[len(ENDPOINT):], {"Origin": "https://b.example.org"})
    assert headers["access-control-allow-origin"] == "https://b.example.org"
    assert headers["access-control-expose-headers"] == "ETag"
    assert "access-control-allow-origin" not in raw("GET", url[len(ENDPOINT):], {"Origin": "https://evil"})[1]
    s3.delete_bucket_cors(Bucket=name)
    assert raw("OPTIONS", f"/{name}/a", asks)[0] == 403


run(globals())
