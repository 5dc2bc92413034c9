#include "lambdaml/net/aws_error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <span>

#include "lambdaml/base/json.h"

namespace lambdaml::net {
namespace {

using base::ErrorCode;
using std::chrono::seconds;

constexpr size_t kMessageBytesMax = 300;
constexpr seconds kClockSkewMax = std::chrono::minutes(4);  // services take five or fifteen
constexpr seconds kRetryAfterMax = std::chrono::minutes(1);

enum class Cause {
  kBusy,  // or a fault of the service's own
  kExpiredToken,
  kClock,
  kKeyUnknown,
  kSignature,
  kPermission,
  kRegion,
  kMissing,
  kExists,
  kFull,
  kRefused,
};

struct CodeCause {
  std::string_view code;
  Cause cause;
};

// Codes without an entry are told by their endings and the status. Source: the lists of common
// errors of S3, DynamoDB, STS, Lambda and CloudFormation, and the retryable codes of the AWS SDKs'
// standard retry mode.
constexpr CodeCause kCauses[] = {
    {"AccessDenied", Cause::kPermission},
    {"AccessDeniedException", Cause::kPermission},
    {"AllAccessDisabled", Cause::kPermission},
    {"AuthorizationHeaderMalformed", Cause::kRegion},
    {"BandwidthLimitExceeded", Cause::kBusy},
    {"BucketAlreadyExists", Cause::kExists},
    {"ConditionalRequestConflict", Cause::kBusy},
    {"EC2ThrottledException", Cause::kBusy},
    {"EntityTooLarge", Cause::kFull},
    {"ExpiredToken", Cause::kExpiredToken},
    {"ExpiredTokenException", Cause::kExpiredToken},
    {"IllegalLocationConstraintException", Cause::kRegion},
    {"IncompleteSignature", Cause::kSignature},
    {"InternalError", Cause::kBusy},
    {"InternalFailure", Cause::kBusy},
    {"InternalServerError", Cause::kBusy},
    {"InvalidAccessKeyId", Cause::kKeyUnknown},
    {"InvalidClientTokenId", Cause::kKeyUnknown},
    {"InvalidSignatureException", Cause::kSignature},
    {"InvalidToken", Cause::kKeyUnknown},
    {"ItemCollectionSizeLimitExceededException", Cause::kFull},
    {"LimitExceededException", Cause::kFull},
    {"MissingAuthenticationToken", Cause::kPermission},
    {"MissingAuthenticationTokenException", Cause::kPermission},
    {"NotSignedUp", Cause::kPermission},
    {"OperationAborted", Cause::kBusy},
    {"PermanentRedirect", Cause::kRegion},
    {"PriorRequestNotComplete", Cause::kBusy},
    {"ProvisionedThroughputExceededException", Cause::kBusy},
    {"QuotaExceeded", Cause::kFull},
    {"RequestExpired", Cause::kClock},
    {"RequestLimitExceeded", Cause::kBusy},
    {"RequestThrottled", Cause::kBusy},
    {"RequestThrottledException", Cause::kBusy},
    {"RequestTimeTooSkewed", Cause::kClock},
    {"RequestTimeout", Cause::kBusy},
    {"RequestTimeoutException", Cause::kBusy},
    {"ServiceUnavailable", Cause::kBusy},
    {"ServiceUnavailableException", Cause::kBusy},
    {"SignatureDoesNotMatch", Cause::kSignature},
    {"SlowDown", Cause::kBusy},
    {"TemporaryRedirect", Cause::kRegion},
    {"ThrottledException", Cause::kBusy},
    {"Throttling", Cause::kBusy},
    {"ThrottlingException", Cause::kBusy},
    {"TokenRefreshRequired", Cause::kExpiredToken},
    {"TooManyBuckets", Cause::kFull},
    {"TooManyRequestsException", Cause::kBusy},
    {"TransactionInProgressException", Cause::kBusy},
    {"UnrecognizedClientException", Cause::kKeyUnknown},
};

Cause CauseOfStatus(int status) {
  switch (status) {
    case 301:
    case 302:
    case 307:
    case 308:
      return Cause::kRegion;
    case 401:
    case 403:
      return Cause::kPermission;
    case 404:
      return Cause::kMissing;
    case 409:
    case 412:
      return Cause::kExists;
    case 413:
    case 507:
      return Cause::kFull;
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return Cause::kBusy;
    default:
      return Cause::kRefused;
  }
}

Cause CauseOf(int status, std::string_view code) {
  const auto* const known =
      std::lower_bound(std::begin(kCauses), std::end(kCauses), code,
                       [](const CodeCause& entry, std::string_view x) { return entry.code < x; });
  if (known != std::end(kCauses) && known->code == code) return known->cause;
  const bool is_missing = code.starts_with("NoSuch") || code.find("NotFound") != code.npos;
  return is_missing ? Cause::kMissing : CauseOfStatus(status);
}

// What the service says, on one short line.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kMessageBytesMax));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  if (text.size() > kMessageBytesMax) shown += "…";
  return shown;
}

// How far this machine's clock is ahead of the service's; nothing if it does not say its time.
std::optional<seconds> ClockSkew(const HttpResponse& response, WallTime now) {
  const std::optional<std::string_view> date = response.Header("Date");
  const std::optional<WallTime> theirs = date ? ParseHttpDate(*date) : std::nullopt;
  if (!theirs) return std::nullopt;
  return std::chrono::duration_cast<seconds>(now - *theirs);
}

std::string ClockAdvice(std::optional<seconds> skew) {
  if (!skew) return "this machine's clock is wrong: synchronise it (`timedatectl set-ntp true`)";
  return fmt::format(
      "this machine's clock is {} s {} the service's: synchronise it (`timedatectl set-ntp true`)",
      std::abs(skew->count()), skew->count() < 0 ? "behind" : "ahead of");
}

std::string RegionAdvice(const FailedRequest& request, const HttpResponse& response,
                         const ServiceError& error) {
  std::string region(response.Header("x-amz-bucket-region").value_or(""));
  if (region.empty()) region = error.region;
  if (region.empty() || region == request.region) {
    return "it is at another endpoint or region: set the one where it is";
  }
  return fmt::format("it is in region {0}, not {1}: set AWS_REGION={0}", Shown(region),
                     request.region);
}

// Whether an answer without a body, as to HEAD, points to another region.
bool NamesOtherRegion(const FailedRequest& request, const HttpResponse& response) {
  const auto region = response.Header("x-amz-bucket-region");
  return region && *region != request.region;
}

struct Advice {
  ErrorCode error_code;
  std::string text;
};

Advice AdviceFor(Cause cause, const FailedRequest& request, const HttpResponse& response,
                 const ServiceError& error) {
  switch (cause) {
    case Cause::kBusy:
      return {ErrorCode::kUnavailable, "it is overloaded or out of order: try again later"};
    case Cause::kExpiredToken:
      return {ErrorCode::kPermissionDenied, "the credentials have expired: get new ones"};
    case Cause::kClock:
      return {ErrorCode::kPermissionDenied, ClockAdvice(ClockSkew(response, request.now))};
    case Cause::kKeyUnknown:
      return {ErrorCode::kPermissionDenied,
              "it does not know the access key id or session token: check AWS_ACCESS_KEY_ID, "
              "AWS_SESSION_TOKEN or the profile, and that they belong to this endpoint"};
    case Cause::kSignature:
      return {ErrorCode::kPermissionDenied,
              "the secret access key does not belong to the access key id: check "
              "AWS_SECRET_ACCESS_KEY or the profile"};
    case Cause::kPermission:
      return {ErrorCode::kPermissionDenied,
              "the credentials lack the permission: allow it in their IAM policy, or use others"};
    case Cause::kRegion:
      return {ErrorCode::kInvalidArgument, RegionAdvice(request, response, error)};
    case Cause::kMissing:
      return {ErrorCode::kNotFound, "check its name, region and endpoint, or create it"};
    case Cause::kExists:
      return {ErrorCode::kAlreadyExists, "somebody else has made or changed it"};
    case Cause::kFull:
      return {ErrorCode::kResourceExhausted, "a limit or quota of the service is reached"};
    case Cause::kRefused:
      break;
  }
  if (response.status >= 500) return {ErrorCode::kUnavailable, "a fault of the service"};
  return {ErrorCode::kInvalidArgument, "the service refuses the request"};
}

std::string TextOf(const base::Json& json, std::string_view key) {
  const base::Json* found = json.is_object() ? json.Find(key) : nullptr;
  return found != nullptr && found->is_string() ? found->AsString() : "";
}

}  // namespace

// The code stands in the header x-amzn-ErrorType or the member __type, perhaps with a namespace
// before ('#') or an address behind (':'); the message in a member of either spelling.
std::optional<ServiceError> ParseJsonError(const HttpResponse& response) {
  if (response.status / 100 == 2) return std::nullopt;
  ServiceError error;
  try {
    const base::Json json = base::Json::Parse(response.body.text(), "error");
    error.code = TextOf(json, "__type");
    error.message = TextOf(json, "message");
    if (error.message.empty()) error.message = TextOf(json, "Message");
  } catch (const base::Error&) {
    // Not the service's own words. The status says enough.
  }
  if (const auto type = response.Header("x-amzn-ErrorType")) error.code = *type;
  error.code = error.code.substr(0, error.code.find(':'));
  error.code = error.code.substr(error.code.rfind('#') + 1);
  return error;
}

bool MayPass(int status, std::string_view code) { return CauseOf(status, code) == Cause::kBusy; }

bool IsExpiredToken(std::string_view code) { return CauseOf(0, code) == Cause::kExpiredToken; }

base::Duration RetryAfter(const HttpResponse& response) {
  const std::string_view text = response.Header("Retry-After").value_or("");
  int64_t wanted = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), wanted);
  if (failure != std::errc() || end != text.data() + text.size()) return {};
  return seconds(std::clamp<int64_t>(wanted, 0, kRetryAfterMax.count()));
}

base::Error ExplainFailure(const FailedRequest& request, const HttpResponse& response,
                           const ServiceError& error) {
  Cause cause = CauseOf(response.status, error.code);
  const bool is_clock_off =
      std::chrono::abs(ClockSkew(response, request.now).value_or(seconds(0))) > kClockSkewMax;
  const bool may_be_clock =
      cause == Cause::kSignature || (cause == Cause::kPermission && error.code.empty());
  if (may_be_clock && is_clock_off) cause = Cause::kClock;
  if (error.code.empty() && response.status == 400 && NamesOtherRegion(request, response)) {
    cause = Cause::kRegion;
  }
  std::string what =
      fmt::format("{}: {} answers {}", request.operation, request.authority, response.status);
  if (!error.code.empty()) what += " " + Shown(error.code);
  // A service that refuses a signature shows what it has signed, session token included.
  const bool may_hold_secrets = cause == Cause::kSignature || cause == Cause::kClock;
  if (!error.message.empty() && !may_hold_secrets) what += " (" + Shown(error.message) + ")";
  const Advice advice = AdviceFor(cause, request, response, error);
  return {advice.error_code, what + ": " + advice.text};
}

}  // namespace lambdaml::net
