// Credentials that the platform hands out over HTTP: to containers (also in Lambda's managed
// instances, ECS and EKS) and to EC2 instances.
//
// Source: "Container credential provider", AWS SDKs and Tools Reference Guide; "Use the Instance
// Metadata Service", Amazon EC2 User Guide.
#include <array>
#include <fmt/format.h>
#include <random>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/net/credentials_sources.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/net/url.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;
using std::chrono::seconds;

constexpr base::Duration kContainerTimeMax = seconds(5);
constexpr base::Duration kInstanceTimeMax = seconds(1);  // of each request
constexpr uint64_t kAnswerBytesMax = 64 * 1024;
constexpr std::string_view kContainerHost = "http://169.254.170.2";
constexpr std::string_view kInstanceEndpoint = "http://169.254.169.254";
constexpr std::string_view kInstancePath = "/latest/meta-data/iam/security-credentials/";

bool IsTrue(const std::optional<std::string>& value) {
  return value == "true" || value == "TRUE" || value == "True" || value == "1";
}

std::string_view Line(std::string_view text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

// {"AccessKeyId": …, "SecretAccessKey": …, "Token": …, "Expiration": "2026-05-01T12:00:00Z"}
Credentials ParseAnswer(const base::Json& answer) {
  Credentials credentials{.access_key_id = answer.At("AccessKeyId").AsString(),
                          .secret_access_key = answer.At("SecretAccessKey").AsString(),
                          .session_token = answer.At("Token").AsString(),
                          .expiration = std::nullopt};
  if (const base::Json* const expiration = answer.Find("Expiration")) {
    credentials.expiration = ParseIsoTime(expiration->AsString());
    if (!credentials.expiration) {
      throw Error(ErrorCode::kInvalidData, "Expiration is not a time in ISO 8601");
    }
  }
  return credentials;
}

Credentials ParseAnswer(const base::Blob& body, const std::string& what) {
  try {
    return ParseAnswer(base::Json::Parse(body.text(), "its answer"));
  } catch (const Error& error) {
    throw Error(error.code(), what + ": " + error.message());
  }
}

bool MayPass(const HttpOutcome& outcome) {
  if (const auto* const error = std::get_if<Error>(&outcome)) {
    return error->code() == ErrorCode::kUnavailable;
  }
  const int status = std::get<HttpResponse>(outcome).status;
  return status == 429 || status >= 500;
}

// The answer of a request that must succeed. `what` names the endpoint.
HttpResponse Expect200(HttpOutcome outcome, const std::string& what) {
  if (const auto* const error = std::get_if<Error>(&outcome)) {
    throw Error(error->code(), what + ": " + error->message());
  }
  auto& response = std::get<HttpResponse>(outcome);
  if (response.status == 200) return std::move(response);
  throw Error(response.status >= 500 ? ErrorCode::kUnavailable : ErrorCode::kPermissionDenied,
              fmt::format("{}: it answers with status {}", what, response.status));
}

// The endpoint's URL as the environment gives it; nothing if it gives none.
std::optional<std::string> ContainerUrl(const Environment& environment) {
  if (const auto path = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")) {
    return std::string(kContainerHost) + *path;
  }
  std::optional<std::string> url = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!url) return std::nullopt;
  HttpUrl parts;
  try {
    parts = ParseHttpUrl(*url);
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + error.message());
  }
  // Without TLS the answer, and the token that asks for it, must not leave the machine.
  const bool is_near = IsLocalHost(parts) || parts.host == "[fd00:ec2::23]";
  if (!parts.is_https && !is_near) {
    throw Error(ErrorCode::kInvalidArgument,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI: http:// is for loopback and link-local hosts "
                "only: use https://");
  }
  return url;
}

// The Authorization header's value; nothing if none is wanted. The platform may renew the file.
std::optional<std::string> ContainerToken(const Environment& environment) {
  const auto file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file) return environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  return std::string(Line(base::MapFile(*file).text()));
}

}  // namespace

std::optional<Credentials> CredentialsOfContainer(const Environment& environment, HttpClient& http,
                                                  const base::Deadline& deadline,
                                                  std::string* why_not) {
  const std::optional<std::string> url = ContainerUrl(environment);
  if (!url) {
    *why_not = "container endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI is not set)";
    return std::nullopt;
  }
  const std::string what = "the container's credentials endpoint";
  HttpRequest request;
  request.url = *url;
  request.response_size_max_bytes = kAnswerBytesMax;
  if (const auto token = ContainerToken(environment)) {
    request.headers.push_back({"Authorization", *token});
  }
  const base::Deadline soon =
      base::Deadline::Earlier(deadline, base::Deadline::After(kContainerTimeMax, deadline.clock()));
  Retry retry(soon, std::random_device()());
  HttpOutcome outcome = http.Send(request, soon);
  while (MayPass(outcome) && retry.Again()) outcome = http.Send(request, soon);
  return ParseAnswer(Expect200(std::move(outcome), what).body, what);
}

std::optional<Credentials> CredentialsOfInstance(const Environment& environment, HttpClient& http,
                                                 const base::Deadline& deadline,
                                                 std::string* why_not) {
  if (IsTrue(environment("AWS_EC2_METADATA_DISABLED"))) {
    *why_not = "instance metadata (disabled by AWS_EC2_METADATA_DISABLED)";
    return std::nullopt;
  }
  const std::string what = "the instance metadata service";
  std::string endpoint =
      environment("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or(std::string(kInstanceEndpoint));
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const auto send = [&](HttpRequest request, std::string_view path) {
    request.url = endpoint + std::string(path);
    request.response_size_max_bytes = kAnswerBytesMax;
    return http.Send(request,
                     base::Deadline::Earlier(
                         deadline, base::Deadline::After(kInstanceTimeMax, deadline.clock())));
  };
  HttpOutcome session =
      send({.method = "PUT", .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}}},
           "/latest/api/token");
  if (const auto* const error = std::get_if<Error>(&session)) {
    *why_not = "instance metadata (" + error->message() + ")";
    return std::nullopt;
  }
  const HttpResponse token = Expect200(std::move(session), what);
  HttpRequest request;
  request.headers = {{"X-aws-ec2-metadata-token", std::string(Line(token.body.text()))}};
  HttpOutcome roles = send(request, kInstancePath);
  if (const auto* const none = std::get_if<HttpResponse>(&roles); none && none->status == 404) {
    *why_not = "instance metadata (the instance has no IAM role)";
    return std::nullopt;
  }
  const HttpResponse role = Expect200(std::move(roles), what);
  const std::string path = std::string(kInstancePath) + std::string(Line(role.body.text()));
  return ParseAnswer(Expect200(send(request, path), what).body, what);
}

}  // namespace lambdaml::net
