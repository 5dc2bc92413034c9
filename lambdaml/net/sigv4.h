// AWS Signature Version 4: pure functions on requests.
//
// Source: "Signature Version 4 signing process", AWS General Reference; "Authenticating Requests
// (AWS Signature Version 4)", Amazon S3 API Reference.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/http_client.h"

namespace lambdaml::net {

struct QueryParameter {
  std::string name;   // not encoded
  std::string value;  // not encoded
};

// The payload hash of a body that is not signed; only S3 takes it.
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

struct SigningScope {
  std::string region;
  std::string
      service;  // "s3" differs: its paths are encoded once, not twice, and taken as they are
};

// A request before it is signed; nothing in it is percent-encoded.
struct UnsignedRequest {
  std::string_view method;
  std::string_view host;  // as in the Host header: with the port unless it is the scheme's own
  std::string_view path;  // begins with '/'
  std::span<const QueryParameter> query;
  std::span<const HttpHeader> headers;  // all of them are signed; none of those that Sign adds
  std::string_view payload_hash;        // SHA-256 of the body in hex, or kUnsignedPayload
};

// The headers that make it a signed request: X-Amz-Date, X-Amz-Security-Token if there is a token,
// x-amz-content-sha256 for S3, Authorization. Cost: about six hashes of short texts.
std::vector<HttpHeader> Sign(const UnsignedRequest& request, const SigningScope& scope,
                             const Credentials& credentials, WallTime now);

// The intermediate steps, for tests and for a service that shows its own in an error.
std::string CanonicalRequest(const UnsignedRequest& request, const SigningScope& scope);
std::string StringToSign(std::string_view canonical_request, const SigningScope& scope,
                         WallTime now);

// Path and query as they stand in a URL: "/a%20b?x=1&y=". Each of the path's bytes is encoded but
// for '/' and unreserved characters.
std::string EncodePath(std::string_view path);
std::string EncodeQuery(std::span<const QueryParameter> query);

}  // namespace lambdaml::net
