"""Versions, holding, and rules by age (a day is two seconds in this run)."""

import datetime
import time

from suite import *


def versioned(name, status="Enabled"):
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


def until(what, seconds=90):
    """Waits until something holds: rules by age are looked at now and then."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.2)


def test_versions_are_kept():
    name = bucket()
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"null")
    versioned(name)
    ids = [s3.put_object(Bucket=name, Key="a", Body=str(n).encode())["VersionId"] for n in range(4)]
    assert len(set(ids)) == 4
    for n, version in enumerate(ids):
        assert get(name, "a", VersionId=version) == str(n).encode()
    assert get(name, "a", VersionId="null") == b"null" and get(name, "a") == b"3"
    marker = s3.delete_object(Bucket=name, Key="a")
    assert marker["DeleteMarker"] and marker["VersionId"] not in ids
    with refused("NoSuchKey", 404):
        get(name, "a")
    with refused("MethodNotAllowed", 405):
        get(name, "a", VersionId=marker["VersionId"])
    listed = s3.list_object_versions(Bucket=name)
    assert [one["VersionId"] for one in listed["Versions"]] == ids[::-1] + ["null"]
    assert [one["IsLatest"] for one in listed["DeleteMarkers"]] == [True]
    s3.delete_object(Bucket=name, Key="a", VersionId=marker["VersionId"])
    assert get(name, "a") == b"3"
    s3.delete_object(Bucket=name, Key="a", VersionId=ids[3])
    assert get(name, "a") == b"2"
    with refused("NoSuchVersion", 404):
        get(name, "a", VersionId=ids[3])
    with refused("InvalidArgument", 400):
        get(name, "a", VersionId="what is this")
    versioned(name, "Suspended")
    s3.put_object(Bucket=name, Key="a", Body=b"new null")
    assert get(name, "a", VersionId="null") == b"new null"
    assert get(name, "a", VersionId=ids[0]) == b"0"


def test_versions_are_listed_in_pages():
    name = bucket()
    versioned(name)
    made = []
    for turn in range(3):
        for key in ["a", "b/1", "b/2"]:
            made.append((key, s3.put_object(Bucket=name, Key=key, Body=b"")["VersionId"]))
    s3.delete_object(Bucket=name, Key="a")
    seen, markers = [], 0
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": 2})
    for page in pages:
        seen += [(one["Key"], one["VersionId"]) for one in page.get("Versions", [])]
        markers += len(page.get("DeleteMarkers", []))
    assert sorted(seen) == sorted(made) and markers == 1
    folded = s3.list_object_versions(Bucket=name, Delimiter="/")
    assert [one["Prefix"] for one in folded["CommonPrefixes"]] == ["b/"]


def test_an_object_that_is_held_stays():
    name = bucket(ObjectLockEnabledForBucket=True)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    version = s3.put_object(Bucket=name, Key="a", Body=b"1", ObjectLockMode="GOVERNANCE",
                            ObjectLockRetainUntilDate=soon)["VersionId"]
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=name, Key="a", VersionId=version)
    assert s3.delete_object(Bucket=name, Key="a")["DeleteMarker"]
    s3.put_object_legal_hold(Bucket=name, Key="a", VersionId=version, LegalHold={"Status": "ON"})
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=name, Key="a", VersionId=version, BypassGovernanceRetention=True)
    assert s3.get_object_legal_hold(Bucket=name, Key="a", VersionId=version)["LegalHold"] == {"Status": "ON"}
    s3.put_object_legal_hold(Bucket=name, Key="a", VersionId=version, LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=name, Key="a", VersionId=version, BypassGovernanceRetention=True)
    # Nobody shortens a retention for compliance.
    version = s3.put_object(Bucket=name, Key="b", Body=b"1", ObjectLockMode="COMPLIANCE",
                            ObjectLockRetainUntilDate=soon)["VersionId"]
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=name, Key="b", VersionId=version, BypassGovernanceRetention=True)
    with refused("AccessDenied", 403):
        s3.put_object_retention(Bucket=name, Key="b", VersionId=version, BypassGovernanceRetention=True,
                                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon})
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
    s3.put_object(Bucket=name, Key="c", Body=b"1")
    assert s3.get_object_retention(Bucket=name, Key="c")["Retention"]["Mode"] == "GOVERNANCE"
    plain = bucket()
    with refused("InvalidRequest", 400):
        s3.put_object_retention(Bucket=plain, Key="c", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon})
    with refused("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=plain)
    with refused("InvalidBucketState", 409):
        versioned(name, "Suspended")


def test_rules_by_age_are_kept_to():
    name, old = bucket(), bucket()
    versioned(old)
    rules = [
        {"ID": "goes", "Status": "Enabled", "Filter": {"Prefix": "goes/"}, "Expiration": {"Days": 1}},
        {"ID": "tag", "Status": "Enabled", "Filter": {"Tag": {"Key": "t", "Value": "1"}}, "Expiration": {"Days": 1}},
        {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": "stays/"}, "Expiration": {"Days": 1}},
        {"ID": "parts", "Status": "Enabled", "Filter": {"Prefix": ""},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    ]
    for key, more in [("goes/1", {}), ("goes/2", {}), ("stays/1", {}), ("tagged", {"Tagging": "t=1"}), ("other", {"Tagging": "t=2"})]:
        s3.put_object(Bucket=name, Key=key, Body=b"1", **more)
    s3.create_multipart_upload(Bucket=name, Key="left behind")
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    told = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [rule["ID"] for rule in told] == [rule["ID"] for rule in rules]
    for n in range(3):
        s3.put_object(Bucket=old, Key="a", Body=str(n).encode())
    s3.put_bucket_lifecycle_configuration(Bucket=old, LifecycleConfiguration={"Rules": [
        {"ID": "old", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}]})

    def left():
        return sorted(one["Key"] for one in s3.list_objects_v2(Bucket=name).get("Contents", []))
    until(lambda: left() == ["other", "stays/1"])
    until(lambda: "Uploads" not in s3.list_multipart_uploads(Bucket=name))
    until(lambda: len(s3.list_object_versions(Bucket=old)["Versions"]) == 1)
    assert get(old, "a") == b"2"
    s3.delete_bucket_lifecycle(Bucket=name)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=name)


run(globals())
