"""Signatures of version 4, written down from the specification, for what boto3 does not
send: each streaming mode by hand, and wrong ones of each kind."""

import datetime
import hashlib
import hmac
import urllib.parse

from suite import HOST, ONE, REGION, raw

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(when):
    return when.strftime("%Y%m%dT%H%M%SZ")


def scope(when):
    return f"{when:%Y%m%d}/{REGION}/s3/aws4_request"


def key(secret, when):
    out = b"AWS4" + secret.encode()
    for word in [f"{when:%Y%m%d}", REGION, "s3", "aws4_request"]:
        out = hmac.new(out, word.encode(), hashlib.sha256).digest()
    return out


def sign(secret, when, *lines):
    return hmac.new(key(secret, when), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def canonical(method, path, query, headers, payload):
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    query = "&".join(f"{urllib.parse.quote(n, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for n, v in pairs)
    names = sorted(name.lower() for name in headers)
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    head = "".join(f"{name}:{values[name]}\n" for name in names)
    return "\n".join([method, path, query, head, ";".join(names), payload])


def headers(method, target, payload, keys=ONE, when=None, more=None):
    """Headers with a signature, and the signature."""
    when = when or now()
    path, _, query = target.partition("?")
    out = {"Host": HOST, "x-amz-date": stamp(when), "x-amz-content-sha256": payload, **(more or {})}
    text = canonical(method, path, query, out, payload)
    signature = sign(keys[1], when, "AWS4-HMAC-SHA256", stamp(when), scope(when),
                     hashlib.sha256(text.encode()).hexdigest())
    names = ";".join(sorted(name.lower() for name in out))
    out["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope(when)}, "
                            f"SignedHeaders={names}, Signature={signature}")
    return out, signature


def send(method, target, content=b"", payload=None, **more):
    payload = payload or hashlib.sha256(content).hexdigest()
    signed, _ = headers(method, target, payload, **more)
    return raw(method, target, signed, content)


def chunks(content, size, seed=None, keys=ONE, when=None, trailer=None, spoil=None):
    """Content in chunks: signed ones when there is a seed signature. `spoil` changes a
    chunk's head, by number. `trailer`: name and value."""
    out, before, number = bytearray(), seed, 0
    pieces = [content[at:at + size] for at in range(0, len(content), size)] + [b""]
    for number, piece in enumerate(pieces):
        head = f"{len(piece):x}"
        if seed:
            before = sign(keys[1], when, "AWS4-HMAC-SHA256-PAYLOAD", stamp(when), scope(when), before,
                          EMPTY, hashlib.sha256(piece).hexdigest())
            head += f";chunk-signature={before}"
        if spoil and number in spoil:
            head = spoil[number](head)
        out += head.encode() + b"\r\n" + piece
        if piece:
            out += b"\r\n"
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}"
        out += line.encode() + b"\r\n"
        if seed:
            last = sign(keys[1], when, "AWS4-HMAC-SHA256-TRAILER", stamp(when), scope(when), before,
                        hashlib.sha256((line + "\n").encode()).hexdigest())
            if spoil and "trailer" in spoil:
                last = spoil["trailer"](last)
            out += f"x-amz-trailer-signature:{last}\r\n".encode()
    return bytes(out + b"\r\n")


def stream(target, content, mode, size=65_536, trailer=None, length=None, spoil=None, when=None, change=None):
    """PUT in a streaming mode."""
    when = when or now()
    more = {"x-amz-decoded-content-length": str(len(content) if length is None else length),
            "Content-Encoding": "aws-chunked"}
    if trailer:
        more["x-amz-trailer"] = trailer[0]
    signed, seed = headers("PUT", target, mode, when=when, more=more)
    seed = seed if "AWS4" in mode else None
    sent = chunks(content, size, seed, when=when, trailer=trailer, spoil=spoil)
    return raw("PUT", target, signed, change(sent) if change else sent)
