# Signs requests with botocore, and prints them: one JSON object per line.
import base64, json, sys
from botocore.auth import (HmacV1Auth, HmacV1PostAuth, HmacV1QueryAuth, S3SigV4Auth,
                           S3SigV4PostAuth, S3SigV4QueryAuth)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from urllib.parse import quote, urlsplit

keys = Credentials(sys.argv[1], sys.argv[2])
base = "http://127.0.0.1:9000"


def show(kind, request):
    sent = request.prepare()
    parts = urlsplit(sent.url)
    headers = [[name, value.decode() if isinstance(value, bytes) else str(value)]
               for name, value in sent.headers.items()]
    if not any(name.lower() == "host" for name, _ in headers):
        headers.append(["Host", parts.netloc])
    print(json.dumps({"kind": kind, "method": sent.method, "path": parts.path or "/",
                      "query": parts.query, "headers": headers}))


names = ["plain", "with space", "plus+sign", "per%cent", "a/b//c", "Grüße/日本", "~.-_", "'()*!@:$&=,;",
         "trailing/", "\x7f\x01", "%2F", "?#"]
for name in names:
    path = "/bucket/" + quote(name, safe="/~")
    for query in ["", "?acl", "?list-type=2&prefix=a%20b%2Fc&delimiter=%2F&marker=", "?uploadId=x%3D%3D&partNumber=2",
                  "?versionId=null&response-content-type=text%2Fplain"]:
        def request(presigned):
            # A presigned request is signed before there is content.
            made = AWSRequest("PUT", base + path + query, data=None if presigned else b"content")
            made.headers["x-amz-meta-folded"] = "  several   blanks  "
            made.headers["Content-Type"] = "text/plain; charset=utf-8"
            return made
        for kind, signer in [("header 4", S3SigV4Auth(keys, "s3", "eu-north-1")),
                             ("query 4", S3SigV4QueryAuth(keys, "s3", "eu-north-1", expires=600)),
                             ("header 2", HmacV1Auth(keys)),
                             ("query 2", HmacV1QueryAuth(keys, expires=600))]:
            made = request(kind.startswith("query"))
            signer.add_auth(made)
            show(kind, made)

for kind, signer in [("form 4", S3SigV4PostAuth(keys, "s3", "us-east-1")), ("form 2", HmacV1PostAuth(keys))]:
    made = AWSRequest("POST", base + "/bucket")
    made.context["s3-presign-post-fields"] = {"key": "foo", "acl": "private"}
    made.context["s3-presign-post-policy"] = {"expiration": "2099-01-01T00:00:00Z", "conditions": [
        {"bucket": "bucket"}, ["starts-with", "$key", "f"], {"acl": "private"}]}
    signer.add_auth(made)
    print(json.dumps({"kind": kind, "fields": list(made.context["s3-presign-post-fields"].items())}))
