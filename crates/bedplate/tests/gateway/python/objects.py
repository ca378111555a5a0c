"""Buckets and objects: the plain things that everybody does."""

import datetime
import time

from suite import *

SIZES = [0, 1, 2, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 3_333_333, 9_000_000]


def test_buckets_come_and_go():
    name = bucket()
    assert name in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert name not in [one["Name"] for one in other.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=name)
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] in (None, REGION)
    with refused("BucketAlreadyExists", 409):
        other.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="one", Body=b"1")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="one")
    s3.delete_bucket(Bucket=name)
    with refused("404", 404):
        s3.head_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=name)
    for wrong in ["-begins", "a..b", "10.0.0.1", "b" * 64, "Large", "under_score", "dot.", "-"*10]:
        try:
            with refused("InvalidBucketName", 400):
                s3.create_bucket(Bucket=wrong)
        except AssertionError as error:
            raise AssertionError(wrong) from error


def test_objects_of_many_sizes():
    name = bucket()
    for size in SIZES:
        content = body(size, size)
        made = s3.put_object(Bucket=name, Key=f"{size}", Body=content, Metadata={"size": str(size)})
        assert made["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    for _ in range(2):  # The second time from what is kept.
        for size in SIZES:
            found = s3.get_object(Bucket=name, Key=f"{size}")
            assert found["Body"].read() == body(size, size), size
            assert found["ContentLength"] == size and found["Metadata"] == {"size": str(size)}
    listed = s3.list_objects_v2(Bucket=name)["Contents"]
    assert {int(one["Key"]): one["Size"] for one in listed} == {size: size for size in SIZES}
    with refused("NoSuchKey", 404):
        get(name, "absent")
    # Another content takes its place at once, wherever it was kept.
    for turn in range(20):
        content = body(1000, turn)
        s3.put_object(Bucket=name, Key="changes", Body=content)
        assert get(name, "changes") == content


def test_what_is_said_of_an_object_comes_back():
    name = bucket()
    expires = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    s3.put_object(
        Bucket=name, Key="a", Body=b"x", ContentType="text/x; charset=utf-8",
        CacheControl="max-age=5", ContentDisposition="attachment; filename=a",
        ContentEncoding="identity", ContentLanguage="de", Expires=expires,
        StorageClass="STANDARD", Metadata={"Mixed-Case": "value  with blanks"})
    head = s3.head_object(Bucket=name, Key="a")
    assert head["ContentType"] == "text/x; charset=utf-8" and head["CacheControl"] == "max-age=5"
    assert head["ContentDisposition"] == "attachment; filename=a"
    assert head["ContentLanguage"] == "de"
    assert head["Metadata"] == {"mixed-case": "value  with blanks"}
    asked = s3.get_object(Bucket=name, Key="a", ResponseContentType="image/png",
                          ResponseContentDisposition="inline")
    assert asked["ContentType"] == "image/png" and asked["ContentDisposition"] == "inline"
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=name, Key="b", Body=b"", Metadata={"much": "m" * 3000})


def test_ranges():
    name = bucket()
    for size in [10, 70_000, 2_000_000]:
        content = body(size, size)
        s3.put_object(Bucket=name, Key="a", Body=content)
        for said, wanted in [("0-0", content[:1]), ("3-7", content[3:8]), ("-4", content[-4:]),
                             ("5-", content[5:]), (f"{size - 1}-", content[-1:]),
                             (f"0-{size * 5}", content), (f"-{size * 2}", content)]:
            found = s3.get_object(Bucket=name, Key="a", Range=f"bytes={said}")
            assert found["Body"].read() == wanted, said
            assert found["ResponseMetadata"]["HTTPStatusCode"] == 206
            first = size - len(wanted) if said.startswith("-") else int(said.split("-")[0])
            last = first + len(wanted) - 1
            assert found["ContentRange"] == f"bytes {first}-{last}/{size}", said
        with refused("InvalidRange", 416):
            s3.get_object(Bucket=name, Key="a", Range=f"bytes={size}-")
        # What is no range is not looked at.
        assert get(name, "a", Range="bytes=7-3") == content
        assert get(name, "a", Range="lines=1-2") == content


def test_conditional_reads():
    name = bucket()
    tag = s3.put_object(Bucket=name, Key="a", Body=b"abc")["ETag"]
    when = s3.head_object(Bucket=name, Key="a")["LastModified"]
    hour = datetime.timedelta(hours=1)
    assert get(name, "a", IfMatch=tag) == b"abc"
    assert get(name, "a", IfModifiedSince=when - hour) == b"abc"
    assert get(name, "a", IfUnmodifiedSince=when + hour) == b"abc"
    assert get(name, "a", IfNoneMatch='"other"') == b"abc"
    # The tag decides where both are said.
    assert get(name, "a", IfMatch=tag, IfUnmodifiedSince=when - hour) == b"abc"
    for condition in [{"IfMatch": '"other"'}, {"IfUnmodifiedSince": when - hour}]:
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=name, Key="a", **condition)
    for condition in [{"IfNoneMatch": tag}, {"IfModifiedSince": when + hour},
                      {"IfNoneMatch": "*"}]:
        with refused("304", 304):
            s3.get_object(Bucket=name, Key="a", **condition)


def test_conditional_writes():
    name = bucket()
    tag = s3.put_object(Bucket=name, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=name, Key="a", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=name, Key="a", Body=b"2", IfMatch='"00000000000000000000000000000000"')
    s3.put_object(Bucket=name, Key="a", Body=b"3", IfMatch=tag)
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=name, Key="absent", Body=b"3", IfMatch=tag)
    assert get(name, "a") == b"3"
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=name, Key="a", IfMatch=tag)
    s3.delete_object(Bucket=name, Key="a", IfMatch=s3.head_object(Bucket=name, Key="a")["ETag"])


def test_copies():
    name, there = bucket(), bucket()
    for size in [0, 100, 70_000, 6_000_000]:
        content = body(size, size)
        s3.put_object(Bucket=name, Key="from", Body=content, Metadata={"a": "1"}, ContentType="x/y")
        s3.copy_object(Bucket=there, Key=f"to {size}", CopySource={"Bucket": name, "Key": "from"})
        found = s3.get_object(Bucket=there, Key=f"to {size}")
        assert found["Body"].read() == content
        assert found["Metadata"] == {"a": "1"} and found["ContentType"] == "x/y"
        s3.copy_object(Bucket=there, Key="new", CopySource={"Bucket": name, "Key": "from"},
                       MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="z/z")
        head = s3.head_object(Bucket=there, Key="new")
        assert head["Metadata"] == {"b": "2"} and head["ContentType"] == "z/z"
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=name, Key="from", CopySource={"Bucket": name, "Key": "from"})
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=name, Key="x", CopySource={"Bucket": name, "Key": "from"},
                       CopySourceIfMatch='"other"')
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=name, Key="x", CopySource={"Bucket": name, "Key": "absent"})
    # What was copied does not hang on where it came from.
    s3.delete_object(Bucket=name, Key="from")
    assert get(there, "to 6000000") == body(6_000_000, 6_000_000)


def test_lists():
    name = bucket()
    keys = sorted([f"a/{n:03}" for n in range(150)] + ["b", "c/d/e", "c/f", "ü", "\U0001f600"],
                  key=lambda key: key.encode())
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, PaginationConfig={"PageSize": 7})
    assert [one["Key"] for page in pages for one in page.get("Contents", [])] == keys
    pages = s3.get_paginator("list_objects").paginate(Bucket=name, PaginationConfig={"PageSize": 11})
    assert [one["Key"] for page in pages for one in page.get("Contents", [])] == keys
    page = s3.list_objects_v2(Bucket=name, Delimiter="/")
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["a/", "c/"]
    assert [one["Key"] for one in page["Contents"]] == ["b", "ü", "\U0001f600"]
    page = s3.list_objects_v2(Bucket=name, Prefix="c/", Delimiter="/", StartAfter="c/d")
    assert [one["Key"] for one in page["Contents"]] == ["c/f"], page
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(gone["Deleted"]) == len(keys) and "Errors" not in gone
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_keys_are_names_and_nothing_else():
    name = bucket()
    keys = ["../../etc/passwd", "..", "../", "./x", "a/../b", "//", "/", "/lead", "a//b", "trail/",
            "a\\b", "C:\\x", "%2e%2e%2f", "%00", "nul\x00inside", "\x01\x02\x1f\x7f", "new\nline",
            "?#&=+ ;,", "\u202e", "é", "e\u0301", "\U0001f600" * 256, "x" * 1024, "~", "lock",
            "objects/index", "00000001.log", "{}[]<>\"'`|^"]
    for number, key in enumerate(keys):
        s3.put_object(Bucket=name, Key=key, Body=body(50, number))
    for number, key in enumerate(keys):
        assert get(name, key) == body(50, number), key
    found = [one["Key"] for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=name, PaginationConfig={"PageSize": 4}) for one in page.get("Contents", [])]
    assert sorted(found) == sorted(keys)
    for key in keys:
        s3.delete_object(Bucket=name, Key=key)
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=name, Key="x" * 1025, Body=b"")
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=name, Key="\U0001f600" * 256 + "x", Body=b"")


def test_tags():
    name = bucket()
    s3.put_object(Bucket=name, Key="a", Body=b"", Tagging="one=1&two=zw%C3%B6lf")
    tags = s3.get_object_tagging(Bucket=name, Key="a")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"one": "1", "two": "zwölf"}
    assert s3.get_object(Bucket=name, Key="a")["TagCount"] == 2
    s3.put_object_tagging(Bucket=name, Key="a", Tagging={"TagSet": [{"Key": "k", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=name, Key="a")["TagSet"] == [{"Key": "k", "Value": ""}]
    s3.delete_object_tagging(Bucket=name, Key="a")
    assert s3.get_object_tagging(Bucket=name, Key="a")["TagSet"] == []
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=name, Key="a", Tagging={
            "TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]})
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=name, Key="a", Tagging={
            "TagSet": [{"Key": "k" * 129, "Value": ""}]})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "b", "Value": "v"}]})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "b", "Value": "v"}]
    s3.delete_bucket_tagging(Bucket=name)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=name)


def test_what_there_is_not_is_named():
    name = bucket()
    s3.put_object(Bucket=name, Key="a", Body=b"1,2\n")
    with refused("NotImplemented", 501):
        s3.select_object_content(Bucket=name, Key="a", Expression="SELECT * FROM s3object",
                                 ExpressionType="SQL", InputSerialization={"CSV": {}},
                                 OutputSerialization={"CSV": {}})


run(globals())
