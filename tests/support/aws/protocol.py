"""Requests and answers of AWS's protocols, by the service models of botocore.

What a request means, and whether it is allowed, comes from AWS's own description of the service:
names, types, required members, lengths, ranges, patterns and enumerations.
"""

import json
import re
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_session = botocore.session.get_session()
_models = {}


class ApiError(Exception):
    """A failure as the service tells it."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def model_of(service):
    """botocore's model of a service, by the name that signatures have."""
    if service not in _models:
        _models[service] = _session.get_service_model(service)
    return _models[service]


def service_of(headers):
    """The service that a request says it is for; None if it does not."""
    match = re.search(r"/([^/]+)/aws4_request", headers.get("Authorization", ""))
    return match.group(1) if match else None


def check_signature(method, target, headers, body, keys):
    """ApiError unless the request is signed by one of the keys: id to secret."""
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
        r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", headers.get("Authorization", ""))
    if match is None:
        raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    key_id, _, region, service, signed, signature = match.groups()
    if key_id not in keys:
        raise ApiError("InvalidClientTokenId", "The security token is invalid.", 403)
    auth = SigV4Auth(Credentials(key_id, keys[key_id]), service, region)
    parts = urlsplit(target)
    request = AWSRequest(method=method, url=f"http://{headers['Host']}{parts.path}",
                         params=parse_qsl(parts.query, keep_blank_values=True), data=body)
    for name in signed.split(";"):
        if name != "host":
            request.headers.add_header(name, headers[name])
    request.context["timestamp"] = headers["X-Amz-Date"]
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if expected != signature:
        raise ApiError("SignatureDoesNotMatch", "The request signature we calculated does not match",
                       403)


def _from_query(shape, fields, prefix):
    """The value of a shape in the flat fields of the Query protocol; None if there is none."""
    if shape.type_name == "structure":
        value = {}
        for name, member in shape.members.items():
            found = _from_query(member, fields, f"{prefix}.{name}" if prefix else name)
            if found is not None:
                value[name] = found
        return value or None
    if shape.type_name == "list":
        values = []
        while True:
            found = _from_query(shape.member, fields, f"{prefix}.member.{len(values) + 1}")
            if found is None:
                return values or None
            values.append(found)
    text = fields.pop(prefix, None)
    if text is None:
        return None
    if shape.type_name in ("integer", "long"):
        return int(text)
    return text == "true" if shape.type_name == "boolean" else text


def _check(shape, value, path):
    """ApiError if the value breaks a constraint of its shape."""

    def refuse(why):
        raise ApiError("ValidationError", f"{path or 'request'}: {why}")

    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                refuse(f"{name} is missing")
        for name, member in value.items():
            if name not in shape.members:
                refuse(f"there is no {name}")
            _check(shape.members[name], member, f"{path}.{name}")
        return
    limits = shape.metadata
    if shape.type_name == "list":
        for i, member in enumerate(value):
            _check(shape.member, member, f"{path}[{i}]")
    size = value if isinstance(value, (int, float)) else len(value)
    if not limits.get("min", size) <= size <= limits.get("max", size):
        refuse(f"{size} is not within {limits.get('min')} to {limits.get('max')}")
    if "enum" in limits and value not in limits["enum"]:
        refuse(f"{value!r} is not one of {limits['enum']}")
    if "pattern" in limits and isinstance(value, str) and not re.fullmatch(limits["pattern"], value):
        refuse(f"{value!r} does not match {limits['pattern']}")


def parse(service, method, target, headers, body):
    """(operation, its parameters) of a request."""
    model = model_of(service)
    protocol = model.metadata["protocol"]
    if protocol == "query":
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if fields.pop("Version", None) != model.api_version:
            raise ApiError("NoSuchVersion", "wrong Version")
        operation = model.operation_model(fields.pop("Action"))
        shape = operation.input_shape
        parameters = (_from_query(shape, fields, "") if shape else None) or {}
        if fields:
            raise ApiError("ValidationError", f"unknown parameters: {sorted(fields)}")
    elif protocol == "json":
        prefix, _, name = headers["X-Amz-Target"].partition(".")
        if prefix != model.metadata["targetPrefix"]:
            raise ApiError("UnknownOperationException", prefix)
        operation = model.operation_model(name)
        parameters = json.loads(body)
    else:
        operation, parameters = _match_rest(model, method, target, headers, body)
    if operation.input_shape:
        _check(operation.input_shape, parameters, "")
    return operation.name, parameters


def _match_rest(model, method, target, headers, body):
    parts = urlsplit(target)
    for name in model.operation_names:
        operation = model.operation_model(name)
        path = operation.http["requestUri"].partition("?")[0]
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
        match = re.fullmatch(pattern, parts.path)
        if operation.http["method"] != method or match is None:
            continue
        parameters = {key: unquote(text) for key, text in match.groupdict().items()}
        payload = operation.input_shape.serialization.get("payload") if operation.input_shape else None
        for member, shape in (operation.input_shape.members if operation.input_shape else {}).items():
            if shape.serialization.get("location") == "header":
                text = headers.get(shape.serialization["name"])
                if text is not None:
                    parameters[member] = text
        if payload:
            parameters[payload] = body
        elif body:
            parameters.update(json.loads(body))
        return operation, parameters
    raise ApiError("UnknownOperationException", f"{method} {parts.path}", 404)


def _to_xml(shape, value):
    if shape.type_name == "structure":
        return "".join(f"<{name}>{_to_xml(shape.members[name], member)}</{name}>"
                       for name, member in value.items() if member is not None)
    if shape.type_name == "list":
        return "".join(f"<member>{_to_xml(shape.member, member)}</member>" for member in value)
    return escape(str(value))


def answer(service, operation, result):
    """The body and content type of a success."""
    model = model_of(service)
    if model.metadata["protocol"] != "query":
        return json.dumps(result).encode(), "application/x-amz-json-1.1"
    shape = model.operation_model(operation).output_shape
    inner = f"<{operation}Result>{_to_xml(shape, result)}</{operation}Result>" if shape else ""
    namespace = model.metadata["xmlNamespace"]
    text = (f'<{operation}Response xmlns="{namespace}">{inner}'
            f"<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{operation}Response>")
    return text.encode(), "text/xml"


def failure(service, error):
    """The body, content type and headers of a failure."""
    if service and model_of(service).metadata["protocol"] == "query":
        text = (f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(error.code)}</Code><Message>"
                f"{escape(error.message)}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>")
        return text.encode(), "text/xml", {}
    body = {"__type": f"com.amazonaws#{error.code}", "message": error.message}
    return (json.dumps(body).encode(), "application/json", {"x-amzn-ErrorType": error.code})
