// What a service answers, well and badly. What it is asked is checked by AWS's own models, in
// tests/e2e/aws_test.cc.
#include "lambdaml/aws/query_client.h"

#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/cloud_formation.h"
#include "lambdaml/aws/lambda.h"
#include "lambdaml/base/error.h"

#include "support/scripted_http_server.h"

namespace lambdaml::aws {
namespace {

using base::ErrorCode;
using ::testing::HasSubstr;

// One server that gives every request the same answer, and a session that finds it.
class AnswersTest : public ::testing::Test {
 protected:
  void Answer(int status, const std::string& body, const std::string& headers = "") {
    server_ = std::make_unique<test::ScriptedHttpServer>([=](const test::ReceivedRequest&) {
      return test::ScriptedReply{.bytes = test::HttpAnswer(status, body, headers)};
    });
  }

  Session SessionOfServer() const {
    Session session;
    session.environment = [url = server_->url()](const std::string& name) {
      return name == "AWS_ENDPOINT_URL" ? std::optional(url) : std::nullopt;
    };
    session.credentials = net::FixedCredentials({.access_key_id = "id",
                                                 .secret_access_key = "secret",
                                                 .session_token = {},
                                                 .expiration = {}});
    return session;
  }

  void ExpectError(ErrorCode code, const std::string& said, const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), code) << error.message();
      EXPECT_THAT(error.message(), HasSubstr(said));
    }
  }

  static base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

  std::unique_ptr<test::ScriptedHttpServer> server_;
};

std::string ValidationError(const std::string& message) {
  return fmt::format(
      "<ErrorResponse><Error><Code>ValidationError</Code><Message>{}</Message></Error>"
      "</ErrorResponse>",
      message);
}

TEST_F(AnswersTest, AStackThatDoesNotExistIsNoError) {
  Answer(400, ValidationError("Stack with id s does not exist"));
  EXPECT_FALSE(CloudFormation(SessionOfServer()).Describe("s", Soon()).has_value());
}

TEST_F(AnswersTest, AnotherValidationErrorIsOne) {
  Answer(400, ValidationError("1 validation error detected"));
  ExpectError(ErrorCode::kInvalidArgument, "1 validation error detected",
              [&] { CloudFormation(SessionOfServer()).Describe("s", Soon()); });
}

TEST_F(AnswersTest, APageOfSomethingElseIsNotTakenForAnAnswer) {
  Answer(200, "<html>Welcome</html>");
  ExpectError(ErrorCode::kUnavailable, "<DescribeStacksResponse>",
              [&] { CloudFormation(SessionOfServer()).Describe("s", Soon()); });
  ExpectError(ErrorCode::kUnavailable, "not JSON",
              [&] { Lambda(SessionOfServer()).GetAccountSettings(Soon()); });
  Answer(200, "{}");
  ExpectError(ErrorCode::kUnavailable, "AccountLimit",
              [&] { Lambda(SessionOfServer()).GetAccountSettings(Soon()); });
}

TEST_F(AnswersTest, MissingPermissionsAreSaid) {
  Answer(403, R"({"Message":"User is not authorized"})",
         "x-amzn-ErrorType: AccessDeniedException:http://internal\r\n");
  ExpectError(ErrorCode::kPermissionDenied, "User is not authorized",
              [&] { Lambda(SessionOfServer()).GetFunctionConfiguration("f", Soon()); });
}

TEST_F(AnswersTest, ATemplateThatIsTooLongIsRefusedHere) {
  Answer(200, "");
  ExpectError(ErrorCode::kResourceExhausted, "51.2 KB", [&] {
    CloudFormation(SessionOfServer())
        .CreateChangeSet({.stack = "s",
                          .name = "c",
                          .is_new_stack = true,
                          .template_body = std::string(60'000, ' '),
                          .parameters = {},
                          .tags = {}},
                         Soon());
  });
  EXPECT_TRUE(server_->requests().empty());
}

}  // namespace
}  // namespace lambdaml::aws
