"""Encryption, by the gateway's keys and by the client's."""

from suite import *

KEY, ANOTHER = bytes(range(32)), bytes(range(1, 33))


def theirs(key=KEY, prefix=""):
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def test_by_the_gateway():
    name = bucket()
    for size in [0, 100, 65_536, 70_000, 5_000_000]:
        content = body(size, size)
        made = s3.put_object(Bucket=name, Key="a", Body=content, ServerSideEncryption="AES256")
        assert made["ServerSideEncryption"] == "AES256"
        found = s3.get_object(Bucket=name, Key="a")
        assert found["Body"].read() == content and found["ServerSideEncryption"] == "AES256"
        assert found["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
        if size > 10:
            assert get(name, "a", Range="bytes=3-9") == content[3:10]
            assert get(name, "a", Range="bytes=-5") == content[-5:]
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
    assert s3.put_object(Bucket=name, Key="b", Body=b"1")["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=name)


def test_by_the_client():
    name = bucket()
    for size in [0, 100, 65_536, 1_000_000]:
        content = body(size, size)
        s3.put_object(Bucket=name, Key="a", Body=content, **theirs())
        assert get(name, "a", **theirs()) == content
        with refused("InvalidRequest", 400):
            get(name, "a")
        for wrong in [theirs(ANOTHER)]:
            try:
                get(name, "a", **wrong)
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
            else:
                raise AssertionError("another key opens it")
        with refused("400", 400):
            s3.head_object(Bucket=name, Key="a")
    s3.put_object(Bucket=name, Key="plain", Body=b"1")
    with refused("InvalidRequest", 400):
        get(name, "plain", **theirs())
    with refused("InvalidArgument", 400):
        s3.put_object(Bucket=name, Key="b", Body=b"", SSECustomerAlgorithm="AES256", SSECustomerKey="short")
    # Into another key, and into none.
    s3.copy_object(Bucket=name, Key="again", CopySource={"Bucket": name, "Key": "a"}, **theirs(prefix="CopySource"), **theirs(ANOTHER))
    assert get(name, "again", **theirs(ANOTHER)) == body(1_000_000, 1_000_000)
    s3.copy_object(Bucket=name, Key="open", CopySource={"Bucket": name, "Key": "a"}, **theirs(prefix="CopySource"))
    assert get(name, "open", Range="bytes=65530-65545") == body(1_000_000, 1_000_000)[65530:65546]


def test_in_parts():
    name = bucket()
    contents = [body(5 << 20, 1), body(70_001, 2)]
    for keys, begun in [(theirs(), theirs()), ({}, {"ServerSideEncryption": "AES256"})]:
        upload = s3.create_multipart_upload(Bucket=name, Key="a", **begun)["UploadId"]
        parts = []
        for number, content in enumerate(contents, 1):
            made = s3.upload_part(Bucket=name, Key="a", UploadId=upload, PartNumber=number, Body=content, **keys)
            parts.append({"PartNumber": number, "ETag": made["ETag"]})
        if keys:
            with refused("InvalidRequest", 400):
                s3.upload_part(Bucket=name, Key="a", UploadId=upload, PartNumber=3, Body=b"")
            with refused("InvalidRequest", 400):
                s3.upload_part(Bucket=name, Key="a", UploadId=upload, PartNumber=3, Body=b"", **theirs(ANOTHER))
        s3.complete_multipart_upload(Bucket=name, Key="a", UploadId=upload, MultipartUpload={"Parts": parts}, **keys)
        whole = b"".join(contents)
        assert get(name, "a", **keys) == whole
        first = (5 << 20) - 5
        assert get(name, "a", Range=f"bytes={first}-{first + 9}", **keys) == whole[first:first + 10]


run(globals())
