#include "lambdaml/net/sigv4.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/net/percent.h"
#include "lambdaml/net/sha256.h"

namespace lambdaml::net {
namespace {

using base::AsBytes;

bool IsS3(const SigningScope& scope) { return scope.service == "s3"; }

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Without spaces around it, and with one for each run of them inside.
std::string TrimmedValue(std::string_view value) {
  std::string trimmed;
  for (const char c : value) {
    const bool is_space = c == ' ' || c == '\t';
    if (!is_space) {
      trimmed += c;
    } else if (!trimmed.empty() && trimmed.back() != ' ') {
      trimmed += ' ';
    }
  }
  if (trimmed.ends_with(' ')) trimmed.pop_back();
  return trimmed;
}

struct CanonicalHeaders {
  std::string lines;  // "name:value\n" each
  std::string names;  // "name;name"
};

CanonicalHeaders Canonicalize(const UnsignedRequest& request) {
  std::vector<std::pair<std::string, std::string>> headers;
  headers.emplace_back("host", TrimmedValue(request.host));
  for (const HttpHeader& header : request.headers) {
    headers.emplace_back(LowerCase(header.name), TrimmedValue(header.value));
  }
  // Stable: values of one name keep their order and are joined.
  std::stable_sort(headers.begin(), headers.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  CanonicalHeaders canonical;
  for (size_t i = 0; i < headers.size(); ++i) {
    const auto& [name, value] = headers[i];
    if (i > 0 && headers[i - 1].first == name) {
      canonical.lines.back() = ',';
    } else {
      if (i > 0) canonical.names += ';';
      canonical.names += name;
      canonical.lines += name + ':';
    }
    canonical.lines += value + '\n';
  }
  return canonical;
}

// RFC 3986, section 5.2.4, and without empty segments: what services but S3 sign.
std::string NormalizePath(std::string_view path) {
  std::vector<std::string_view> segments;
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    begin = end + 1;
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!segment.empty() && segment != "." && segment != "..") segments.push_back(segment);
  }
  std::string normalized;
  for (const std::string_view segment : segments) {
    normalized += '/';
    normalized += segment;
  }
  if (normalized.empty() || path.ends_with('/')) normalized += '/';
  return normalized;
}

std::string CanonicalPath(std::string_view path, const SigningScope& scope) {
  if (IsS3(scope)) return EncodePath(path);
  return PercentEncode(EncodePath(NormalizePath(path)), "/");
}

std::string CredentialScope(const SigningScope& scope, std::string_view amz_date) {
  return fmt::format("{}/{}/{}/aws4_request", amz_date.substr(0, 8), scope.region, scope.service);
}

Sha256Digest SigningKey(const SigningScope& scope, const Credentials& credentials,
                        std::string_view amz_date) {
  Sha256Digest key =
      HmacSha256(AsBytes("AWS4" + credentials.secret_access_key), AsBytes(amz_date.substr(0, 8)));
  key = HmacSha256(key, AsBytes(scope.region));
  key = HmacSha256(key, AsBytes(scope.service));
  return HmacSha256(key, AsBytes("aws4_request"));
}

}  // namespace

std::string EncodePath(std::string_view path) { return PercentEncode(path, "/"); }

std::string EncodeQuery(std::span<const QueryParameter> query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  encoded.reserve(query.size());
  for (const QueryParameter& parameter : query) {
    encoded.emplace_back(PercentEncode(parameter.name), PercentEncode(parameter.value));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    if (!text.empty()) text += '&';
    text += name + '=' + value;
  }
  return text;
}

std::string CanonicalRequest(const UnsignedRequest& request, const SigningScope& scope) {
  const CanonicalHeaders headers = Canonicalize(request);
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, CanonicalPath(request.path, scope),
                     EncodeQuery(request.query), headers.lines, headers.names,
                     request.payload_hash);
}

std::string StringToSign(std::string_view canonical_request, const SigningScope& scope,
                         WallTime now) {
  const std::string amz_date = FormatAmzDate(now);
  return fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", amz_date, CredentialScope(scope, amz_date),
                     Hex(Sha256(AsBytes(canonical_request))));
}

std::vector<HttpHeader> Sign(const UnsignedRequest& request, const SigningScope& scope,
                             const Credentials& credentials, WallTime now) {
  const std::string amz_date = FormatAmzDate(now);
  std::vector<HttpHeader> added = {{"X-Amz-Date", amz_date}};
  if (!credentials.session_token.empty()) {
    added.push_back({"X-Amz-Security-Token", credentials.session_token});
  }
  if (IsS3(scope)) {
    added.push_back({"x-amz-content-sha256", std::string(request.payload_hash)});
  }
  std::vector<HttpHeader> all(request.headers.begin(), request.headers.end());
  all.insert(all.end(), added.begin(), added.end());
  UnsignedRequest complete = request;
  complete.headers = all;
  const std::string to_sign = StringToSign(CanonicalRequest(complete, scope), scope, now);
  const std::string signature =
      Hex(HmacSha256(SigningKey(scope, credentials, amz_date), AsBytes(to_sign)));
  added.push_back({"Authorization",
                   fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                               credentials.access_key_id, CredentialScope(scope, amz_date),
                               Canonicalize(complete).names, signature)});
  return added;
}

}  // namespace lambdaml::net
