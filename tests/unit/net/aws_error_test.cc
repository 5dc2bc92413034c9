#include "lambdaml/net/aws_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const WallTime kNow = WallTime(seconds(784'111'777));  // Sun, 06 Nov 1994 08:49:37 GMT

HttpResponse Response(int status, std::vector<HttpHeader> headers = {}) {
  return {.status = status, .headers = std::move(headers), .body = {}};
}

Error Explain(const HttpResponse& response, const ServiceError& error) {
  return ExplainFailure(
      {.operation = "get s3://b/k", .authority = "h:443", .region = "us-east-1", .now = kNow},
      response, error);
}

Error Explain(int status, const std::string& code, const std::string& message = "") {
  return Explain(Response(status), {.code = code, .message = message});
}

TEST(AwsError, TriesAgainWhatMayPassAndNothingElse) {
  for (const int status : {429, 500, 502, 503, 504}) EXPECT_TRUE(MayPass(status, ""));
  for (const int status : {301, 400, 401, 403, 404, 409, 412, 413, 501, 505}) {
    EXPECT_FALSE(MayPass(status, "")) << status;
  }
  for (const char* const code :
       {"SlowDown", "RequestTimeout", "InternalError", "InternalServerError", "ServiceUnavailable",
        "Throttling", "ThrottlingException", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "TooManyRequestsException", "TransactionInProgressException",
        "ConditionalRequestConflict", "OperationAborted", "PriorRequestNotComplete"}) {
    EXPECT_TRUE(MayPass(400, code)) << code;
    EXPECT_TRUE(MayPass(200, code)) << code;
  }
  for (const char* const code : {"AccessDenied", "NoSuchKey", "ConditionalCheckFailedException",
                                 "ValidationException", "SlowDownX", "Slow"}) {
    EXPECT_FALSE(MayPass(400, code)) << code;
  }
  EXPECT_TRUE(IsExpiredToken("ExpiredToken"));
  EXPECT_TRUE(IsExpiredToken("ExpiredTokenException"));
  EXPECT_FALSE(IsExpiredToken("InvalidToken"));
  EXPECT_FALSE(IsExpiredToken(""));
}

TEST(AwsError, WaitsAsLongAsTheServiceAsksButAMinuteAtMost) {
  EXPECT_EQ(RetryAfter(Response(503)), seconds(0));
  EXPECT_EQ(RetryAfter(Response(503, {{"Retry-After", "7"}})), seconds(7));
  EXPECT_EQ(RetryAfter(Response(503, {{"retry-after", "99999999999"}})), seconds(60));
  for (const char* const text :
       {"-7", "x", "", "7 s", "Sun, 06 Nov 1994 08:49:37 GMT", "99999999999999999999999"}) {
    EXPECT_EQ(RetryAfter(Response(503, {{"Retry-After", text}})), seconds(0)) << text;
  }
}

TEST(AwsError, NamesOperationPlaceAnswerAndWhatToDo) {
  EXPECT_EQ(Explain(404, "NoSuchBucket", "The specified bucket does not exist").message(),
            "get s3://b/k: h:443 answers 404 NoSuchBucket (The specified bucket does not exist): "
            "check its name, region and endpoint, or create it");
  EXPECT_EQ(Explain(418, "").message(),
            "get s3://b/k: h:443 answers 418: the service refuses the request");
}

struct Case {
  int status;
  std::string code;
  ErrorCode error_code;
  std::string advice;
};

TEST(AwsError, HasAnAdviceForEachCause) {
  for (const Case& c : {
           Case{503, "SlowDown", ErrorCode::kUnavailable, "overloaded"},
           Case{400, "ExpiredToken", ErrorCode::kPermissionDenied, "have expired"},
           Case{403, "RequestTimeTooSkewed", ErrorCode::kPermissionDenied, "clock"},
           Case{403, "InvalidAccessKeyId", ErrorCode::kPermissionDenied, "AWS_ACCESS_KEY_ID"},
           Case{400, "UnrecognizedClientException", ErrorCode::kPermissionDenied, "access key id"},
           Case{403, "InvalidClientTokenId", ErrorCode::kPermissionDenied, "access key id"},
           Case{403, "SignatureDoesNotMatch", ErrorCode::kPermissionDenied, "secret access key"},
           Case{400, "InvalidSignatureException", ErrorCode::kPermissionDenied, "secret access"},
           Case{403, "AccessDenied", ErrorCode::kPermissionDenied, "IAM policy"},
           Case{400, "AccessDeniedException", ErrorCode::kPermissionDenied, "IAM policy"},
           Case{403, "", ErrorCode::kPermissionDenied, "IAM policy"},
           Case{301, "PermanentRedirect", ErrorCode::kInvalidArgument, "another endpoint"},
           Case{307, "", ErrorCode::kInvalidArgument, "another endpoint"},
           Case{404, "NoSuchBucket", ErrorCode::kNotFound, "create it"},
           Case{400, "ResourceNotFoundException", ErrorCode::kNotFound, "create it"},
           Case{412, "PreconditionFailed", ErrorCode::kAlreadyExists, "somebody else"},
           Case{403, "QuotaExceeded", ErrorCode::kResourceExhausted, "quota"},
           Case{400, "ValidationException", ErrorCode::kInvalidArgument, "refuses"},
           Case{501, "NotImplemented", ErrorCode::kUnavailable, "fault of the service"},
       }) {
    const Error error = Explain(c.status, c.code);
    EXPECT_EQ(error.code(), c.error_code) << c.code;
    EXPECT_THAT(error.message(), HasSubstr(c.advice)) << c.code;
  }
}

TEST(AwsError, SaysHowFarTheClockIsOff) {
  const ServiceError skewed = {.code = "RequestTimeTooSkewed", .message = ""};
  EXPECT_THAT(Explain(Response(403, {{"Date", "Sun, 06 Nov 1994 09:06:17 GMT"}}), skewed).message(),
              HasSubstr("clock is 1000 s behind the service's: synchronise"));
  EXPECT_THAT(Explain(Response(403, {{"Date", "Sun, 06 Nov 1994 08:32:57 GMT"}}), skewed).message(),
              HasSubstr("clock is 1000 s ahead of the service's"));
  EXPECT_THAT(Explain(Response(403, {{"Date", "nonsense"}}), skewed).message(),
              HasSubstr("clock is wrong"));
}

TEST(AwsError, TakesAWrongSignatureForAWrongClockOnlyIfTheClockIsFarOff) {
  const ServiceError mismatch = {.code = "SignatureDoesNotMatch", .message = ""};
  const auto explain = [&](const char* date) {
    return Explain(Response(403, {{"Date", date}}), mismatch).message();
  };
  EXPECT_THAT(explain("Sun, 06 Nov 1994 08:49:40 GMT"), HasSubstr("secret access key"));
  EXPECT_THAT(explain("Sun, 06 Nov 1994 09:49:40 GMT"), HasSubstr("clock is 3603 s behind"));
  const HttpResponse denied = Response(403, {{"Date", "Sun, 06 Nov 1994 09:49:40 GMT"}});
  EXPECT_THAT(Explain(denied, {}).message(), HasSubstr("clock"));
  EXPECT_THAT(Explain(denied, {.code = "AccessDenied", .message = ""}).message(),
              Not(HasSubstr("clock")));
}

TEST(AwsError, NamesTheRegionToGoTo) {
  const ServiceError wrong = {
      .code = "AuthorizationHeaderMalformed", .message = "expecting", .region = "eu-west-1"};
  EXPECT_THAT(Explain(Response(400), wrong).message(),
              HasSubstr("it is in region eu-west-1, not us-east-1: set AWS_REGION=eu-west-1"));
  const HttpResponse redirect = Response(301, {{"x-amz-bucket-region", "eu-west-3"}});
  EXPECT_THAT(Explain(redirect, {}).message(), HasSubstr("AWS_REGION=eu-west-3"));
  const HttpResponse head = Response(400, {{"x-amz-bucket-region", "eu-west-3"}});
  EXPECT_THAT(Explain(head, {}).message(), HasSubstr("AWS_REGION=eu-west-3"));
  const HttpResponse same = Response(400, {{"x-amz-bucket-region", "us-east-1"}});
  EXPECT_THAT(Explain(same, {}).message(), HasSubstr("refuses the request"));
}

TEST(AwsError, ShowsNothingThatAServiceMayHaveRepeatedOfASignature) {
  for (const char* const code :
       {"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed"}) {
    EXPECT_THAT(Explain(403, code, "x-amz-security-token:TOPSECRET").message(),
                Not(HasSubstr("TOPSECRET")));
  }
}

TEST(AwsError, ShowsOneShortLineOfWhatAServiceSays) {
  const std::string message =
      Explain(400, "Odd\x1b[31m", std::string(5000, 'x') + "\n\a").message();
  EXPECT_LT(message.size(), 600U);
  EXPECT_THAT(message, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace lambdaml::net
