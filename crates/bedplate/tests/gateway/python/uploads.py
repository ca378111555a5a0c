"""Uploads in parts."""

from suite import *

PART = 5 << 20


def begin(name, key="whole", **more):
    return s3.create_multipart_upload(Bucket=name, Key=key, **more)["UploadId"]


def part(name, upload, number, content, key="whole", **more):
    made = s3.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=content,
                          **more)
    return {"PartNumber": number, "ETag": made["ETag"]}


def complete(name, upload, parts, key="whole", **more):
    return s3.complete_multipart_upload(Bucket=name, Key=key, UploadId=upload,
                                        MultipartUpload={"Parts": parts}, **more)


def test_parts_become_an_object():
    name = bucket()
    upload = begin(name, Metadata={"m": "1"}, ContentType="a/b")
    contents = [body(PART, 1), body(PART + 12_345, 2), body(777, 3)]
    parts = [part(name, upload, number * 10 + 1, content) for number, content in enumerate(contents)]
    listed = s3.list_parts(Bucket=name, Key="whole", UploadId=upload, MaxParts=2)
    assert [one["PartNumber"] for one in listed["Parts"]] == [1, 11] and listed["IsTruncated"]
    rest = s3.list_parts(Bucket=name, Key="whole", UploadId=upload,
                         PartNumberMarker=listed["NextPartNumberMarker"])
    assert [one["PartNumber"] for one in rest["Parts"]] == [21] and not rest["IsTruncated"]
    uploads = s3.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [(one["Key"], one["UploadId"]) for one in uploads] == [("whole", upload)]
    with refused("404", 404):
        s3.head_object(Bucket=name, Key="whole")
    made = complete(name, upload, parts)
    tags = b"".join(hashlib.md5(content).digest() for content in contents)
    assert made["ETag"] == f'"{hashlib.md5(tags).hexdigest()}-3"'
    found = s3.get_object(Bucket=name, Key="whole")
    assert found["Body"].read() == b"".join(contents)
    assert found["Metadata"] == {"m": "1"} and found["ContentType"] == "a/b"
    # Ranges over the seams, and parts by number.
    whole = b"".join(contents)
    for first, last in [(PART - 3, PART + 3), (0, len(whole) - 1), (2 * PART + 12_344, len(whole) - 1)]:
        assert get(name, "whole", Range=f"bytes={first}-{last}") == whole[first:last + 1]
    second = s3.get_object(Bucket=name, Key="whole", PartNumber=2)
    assert second["Body"].read() == contents[1] and second["PartsCount"] == 3
    # Sent again because its answer was lost: the same answer.
    assert complete(name, upload, parts)["ETag"] == made["ETag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_a_part_is_replaced_and_parts_are_left_out():
    name = bucket()
    upload = begin(name)
    part(name, upload, 1, body(PART, 1))
    first = part(name, upload, 1, body(PART, 2))
    part(name, upload, 2, body(PART, 3))
    last = part(name, upload, 3, b"end")
    complete(name, upload, [first, last])
    assert get(name, "whole") == body(PART, 2) + b"end"


def test_parts_are_copied():
    name = bucket()
    source = body(12_000_000, 9)
    s3.put_object(Bucket=name, Key="source", Body=source)
    upload = begin(name)
    parts = []
    for number, (first, last) in enumerate([(0, 5_999_999), (3_000_000, 8_999_999), (11_999_990, 11_999_999)], 1):
        made = s3.upload_part_copy(Bucket=name, Key="whole", UploadId=upload, PartNumber=number,
                                   CopySource={"Bucket": name, "Key": "source"},
                                   CopySourceRange=f"bytes={first}-{last}")
        parts.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
    complete(name, upload, parts)
    assert get(name, "whole") == source[:6_000_000] + source[3_000_000:9_000_000] + source[-10:]
    upload = begin(name, "again")
    with refused("InvalidRange", 416):
        s3.upload_part_copy(Bucket=name, Key="again", UploadId=upload, PartNumber=1,
                            CopySource={"Bucket": name, "Key": "source"},
                            CopySourceRange="bytes=0-12000000")
    s3.upload_part_copy(Bucket=name, Key="again", UploadId=upload, PartNumber=1,
                        CopySource={"Bucket": name, "Key": "source"})


def test_what_does_not_fit_together_is_refused():
    name = bucket()
    upload = begin(name)
    one, two = part(name, upload, 1, b"short"), part(name, upload, 2, b"short too")
    with refused("EntityTooSmall", 400):
        complete(name, upload, [one, two])
    with refused("InvalidPartOrder", 400):
        complete(name, upload, [two, one])
    with refused("InvalidPart", 400):
        complete(name, upload, [{"PartNumber": 7, "ETag": one["ETag"]}])
    with refused("InvalidPart", 400):
        complete(name, upload, [{"PartNumber": 1, "ETag": two["ETag"]}])
    with refused("MalformedXML", 400):
        complete(name, upload, [])
    with refused("InvalidRequest", 400):
        complete(name, upload, [one], MpuObjectSize=6)
    with refused("InvalidArgument", 400):
        part(name, upload, 10_001, b"")
    with refused("NoSuchUpload", 404):
        part(name, "nothing", 1, b"")
    complete(name, upload, [one], MpuObjectSize=5)
    assert get(name, "whole") == b"short"


def test_an_upload_is_given_up():
    name = bucket()
    upload = begin(name)
    part(name, upload, 1, b"1")
    s3.abort_multipart_upload(Bucket=name, Key="whole", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=name, Key="whole", UploadId=upload)
    with refused("NoSuchUpload", 404):
        part(name, upload, 1, b"1")
    s3.delete_bucket(Bucket=name)


def test_many_uploads_are_listed_in_pages():
    name = bucket()
    begun = sorted((key, begin(name, key)) for key in ["a", "a", "b/1", "b/2", "c"])
    seen, page = [], s3.list_multipart_uploads(Bucket=name, MaxUploads=2)
    while True:
        seen += [(one["Key"], one["UploadId"]) for one in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        page = s3.list_multipart_uploads(Bucket=name, MaxUploads=2, KeyMarker=page["NextKeyMarker"],
                                         UploadIdMarker=page["NextUploadIdMarker"])
    assert sorted(seen) == begun
    folded = s3.list_multipart_uploads(Bucket=name, Delimiter="/")
    assert [one["Prefix"] for one in folded["CommonPrefixes"]] == ["b/"]


def test_a_condition_is_judged_when_an_upload_is_completed():
    name = bucket()
    upload = begin(name)
    one = part(name, upload, 1, b"1")
    s3.put_object(Bucket=name, Key="whole", Body=b"before")
    with refused("PreconditionFailed", 412):
        complete(name, upload, [one], IfNoneMatch="*")
    complete(name, upload, [one], IfMatch=s3.head_object(Bucket=name, Key="whole")["ETag"])
    assert get(name, "whole") == b"1"


def test_boto3_moves_large_files_by_itself():
    import io
    from boto3.s3.transfer import TransferConfig
    name, content = bucket(), body(30_000_000, 4)
    parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(content), name, "large", Config=parts)
    came = io.BytesIO()
    s3.download_fileobj(name, "large", came, Config=parts)
    assert came.getvalue() == content


run(globals())
