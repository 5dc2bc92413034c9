"""Signs requests with botocore, for comparison.

Reads JSON lines from the file of the first argument: {"service", "region", "method", "host", "path",
"query": [[name, value]], "headers": [[name, value]], "body", "is_body_signed", "key", "secret",
"token", "date"}. Prints one Authorization header each, made by botocore from its own parts.
"""

import json
import sys
from types import SimpleNamespace
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def authorization(case):
    """The Authorization header of one case."""
    credentials = Credentials(case["key"], case["secret"], case["token"] or None)
    is_s3 = case["service"] == "s3"
    auth = (S3SigV4Auth if is_s3 else SigV4Auth)(credentials, case["service"], case["region"])
    request = AWSRequest(
        method=case["method"],
        url="https://" + case["host"] + quote(case["path"], safe="/~"),
        params=[tuple(pair) for pair in case["query"]],
        data=case["body"].encode(),
    )
    for name, value in case["headers"]:
        request.headers.add_header(name, value)
    request.context["timestamp"] = case["date"]
    request.context["client_config"] = SimpleNamespace(
        s3={"payload_signing_enabled": case["is_body_signed"]})
    auth._modify_request_before_signing(request)
    string_to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(string_to_sign, request))
    return request.headers["Authorization"]


def main():
    """Signs them all."""
    with open(sys.argv[1], encoding="utf-8") as cases:
        for line in cases:
            print(authorization(json.loads(line)))


if __name__ == "__main__":
    main()
