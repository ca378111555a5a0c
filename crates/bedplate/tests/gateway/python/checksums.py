"""Checksums of all kinds: given, verified, and told."""

import zlib

import awscrt.checksums

from suite import *

KINDS = {
    "CRC32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
    "CRC32C": lambda content: awscrt.checksums.crc32c(content).to_bytes(4, "big"),
    "CRC64NVME": lambda content: awscrt.checksums.crc64nvme(content).to_bytes(8, "big"),
    "SHA1": lambda content: hashlib.sha1(content).digest(),
    "SHA256": lambda content: hashlib.sha256(content).digest(),
}
quiet = client(request_checksum_calculation="when_required",
               response_checksum_validation="when_required")


def test_given_verified_and_told():
    name = bucket()
    for kind, count in KINDS.items():
        field = f"Checksum{kind}"
        for size in [0, 10, 100_000, 2_000_000]:
            content = body(size, kind)
            value = b64(count(content))
            made = quiet.put_object(Bucket=name, Key=kind, Body=content, **{field: value})
            assert made[field] == value and made["ChecksumType"] == "FULL_OBJECT"
            found = s3.get_object(Bucket=name, Key=kind, ChecksumMode="ENABLED")
            assert found[field] == value
            assert found["Body"].read() == content  # boto3 compares it as well.
            assert field not in quiet.get_object(Bucket=name, Key=kind)
            head = s3.head_object(Bucket=name, Key=kind, ChecksumMode="ENABLED")
            assert head[field] == value
            told = s3.get_object_attributes(Bucket=name, Key=kind, ObjectAttributes=["Checksum", "ETag", "ObjectSize"])
            assert told["Checksum"][field] == value and told["ObjectSize"] == size
            wrong = b64(count(content + b"x"))
            with refused("BadDigest", 400):
                quiet.put_object(Bucket=name, Key="wrong", Body=content, **{field: wrong})
    with refused("404", 404):
        s3.head_object(Bucket=name, Key="wrong")


def test_content_md5():
    name = bucket()
    right = b64(hashlib.md5(b"abc").digest())
    quiet.put_object(Bucket=name, Key="a", Body=b"abc", ContentMD5=right)
    with refused("BadDigest", 400):
        quiet.put_object(Bucket=name, Key="a", Body=b"abd", ContentMD5=right)
    with refused("InvalidDigest", 400):
        quiet.put_object(Bucket=name, Key="a", Body=b"abc", ContentMD5="nonsense")


def test_in_the_trailer_of_a_stream():
    """boto3 sends content in chunks with a trailer when it goes by TLS."""
    name = bucket()
    for tls in [False, True]:
        for kind, count in KINDS.items():
            content = body(300_000, kind)
            by = client(tls=tls)
            made = by.put_object(Bucket=name, Key=kind, Body=content, ChecksumAlgorithm=kind)
            assert made[f"Checksum{kind}"] == b64(count(content)), (tls, kind)
            assert get(name, kind, s3=by) == content


def test_of_uploads_in_parts():
    name = bucket()
    contents = [body(5 << 20, 1), body(100_000, 2)]
    for kind, count in KINDS.items():
        field = f"Checksum{kind}"
        whole = "CRC" in kind
        for coverage in ["FULL_OBJECT", "COMPOSITE"]:
            possible = whole if coverage == "FULL_OBJECT" else kind != "CRC64NVME"
            if not possible:
                with refused("InvalidRequest", 400):
                    quiet.create_multipart_upload(Bucket=name, Key=kind, ChecksumAlgorithm=kind, ChecksumType=coverage)
                continue
            upload = quiet.create_multipart_upload(
                Bucket=name, Key=kind, ChecksumAlgorithm=kind, ChecksumType=coverage)["UploadId"]
            parts = []
            for number, content in enumerate(contents, 1):
                value = b64(count(content))
                made = quiet.upload_part(Bucket=name, Key=kind, UploadId=upload, PartNumber=number,
                                         Body=content, **{field: value})
                assert made[field] == value
                parts.append({"PartNumber": number, "ETag": made["ETag"], field: value})
            made = quiet.complete_multipart_upload(Bucket=name, Key=kind, UploadId=upload,
                                                   MultipartUpload={"Parts": parts}, ChecksumType=coverage)
            if coverage == "FULL_OBJECT":
                wanted = b64(count(b"".join(contents)))
            else:
                wanted = b64(count(b"".join(count(content) for content in contents))) + "-2"
            assert made[field] == wanted, (kind, coverage, made)
            assert made["ChecksumType"] == coverage
            told = s3.get_object_attributes(Bucket=name, Key=kind, ObjectAttributes=["Checksum", "ObjectParts"])
            assert told["Checksum"][field].split("-")[0] == wanted.split("-")[0], told
            assert told["ObjectParts"]["TotalPartsCount"] == 2


def test_a_copy_keeps_its_checksum():
    name = bucket()
    for kind, count in KINDS.items():
        s3.put_object(Bucket=name, Key=kind, Body=b"abc", ChecksumAlgorithm=kind)
        made = s3.copy_object(Bucket=name, Key=f"copy {kind}", CopySource={"Bucket": name, "Key": kind})
        assert made["CopyObjectResult"][f"Checksum{kind}"] == b64(count(b"abc"))
    made = s3.copy_object(Bucket=name, Key="other", CopySource={"Bucket": name, "Key": "SHA1"}, ChecksumAlgorithm="CRC32C")
    assert made["CopyObjectResult"]["ChecksumCRC32C"] == b64(KINDS["CRC32C"](b"abc"))


run(globals())
