// Our signatures against those of botocore, AWS's own implementation in Python.
#include <gtest/gtest.h>
#include <sstream>

#include "lambdaml/base/json.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/net/sigv4.h"

#include "support/child_program.h"

namespace lambdaml::net {
namespace {

using base::Json;

constexpr const char* kPython = "/usr/bin/python3";  // that of the python3-botocore package
constexpr int kCaseCount = 400;

struct Case {
  SigningScope scope;
  Credentials credentials;
  std::string method;
  std::string host;
  std::string path;
  std::vector<QueryParameter> query;
  std::vector<HttpHeader> headers;
  std::string body;
  bool is_body_signed = true;
  WallTime time;
};

template <size_t kCount>
std::string Joined(base::Random& random, uint64_t count_max, const char* const (&pieces)[kCount]) {
  std::string text;
  for (uint64_t i = random.Below(count_max + 1); i > 0; --i) text += pieces[random.Below(kCount)];
  return text;
}

Case MakeCase(base::Random& random) {
  static constexpr const char* kPathPieces[] = {"/", "a",  "Z9", " ", "+", "%",  "%41", "..", ".",
                                                "~", "-_", "=",  "&", "?", "#",  "ä",   "ሴ",  "😀",
                                                "'", "*",  "(",  ")", ":", "@!", "$,;", "\\", "\""};
  static constexpr const char* kNamePieces[] = {"a", "B", "-", ".",      "_",      "~",
                                                " ", "+", "/", "%",      "=",      "&",
                                                "é", "😀", "*", "prefix", "uploads"};
  static constexpr const char* kValuePieces[] = {"x", " ", "  ", "Y",  ",",
                                                 ";", "=", "\"", "\t", "/"};
  static constexpr const char* kServices[] = {"s3", "s3", "dynamodb", "lambda", "sts"};
  Case c;
  c.scope = {.region = random.Below(2) == 0 ? "us-east-1" : "eu-central-2",
             .service = kServices[random.Below(std::size(kServices))]};
  c.credentials = {.access_key_id = "AKID",
                   .secret_access_key = Joined(random, 20, kNamePieces),
                   .session_token = random.Below(2) == 0 ? "" : "tok/en+==",
                   .expiration = std::nullopt};
  static constexpr const char* kMethods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
  c.method = kMethods[random.Below(std::size(kMethods))];
  c.host = random.Below(2) == 0 ? "bucket.example.com" : "127.0.0.1:9000";
  c.path = "/" + Joined(random, 12, kPathPieces);
  for (uint64_t i = random.Below(5); i > 0; --i) {
    c.query.push_back({"q" + Joined(random, 4, kNamePieces), Joined(random, 4, kNamePieces)});
  }
  for (uint64_t i = random.Below(5); i > 0; --i) {
    c.headers.push_back({"X-H" + std::to_string(random.Below(3)), Joined(random, 6, kValuePieces)});
  }
  c.body = Joined(random, 10, kPathPieces);
  c.is_body_signed = c.scope.service != "s3" || random.Below(2) == 0;
  c.time = WallTime(std::chrono::seconds(1'400'000'000 + random.Below(500'000'000)));
  return c;
}

std::string OurAuthorization(const Case& c) {
  const std::string hash =
      c.is_body_signed ? Hex(Sha256(base::AsBytes(c.body))) : std::string(kUnsignedPayload);
  return Sign({.method = c.method,
               .host = c.host,
               .path = c.path,
               .query = c.query,
               .headers = c.headers,
               .payload_hash = hash},
              c.scope, c.credentials, c.time)
      .back()
      .value;
}

Json AsJson(const Case& c) {
  Json json = Json::EmptyObject();
  json.Set("service", c.scope.service);
  json.Set("region", c.scope.region);
  json.Set("method", c.method);
  json.Set("host", c.host);
  json.Set("path", c.path);
  Json query = Json::EmptyArray();
  for (const QueryParameter& parameter : c.query) {
    query.Append(Json(Json::Array{parameter.name, parameter.value}));
  }
  json.Set("query", std::move(query));
  Json headers = Json::EmptyArray();
  for (const HttpHeader& header : c.headers) {
    headers.Append(Json(Json::Array{header.name, header.value}));
  }
  json.Set("headers", std::move(headers));
  json.Set("body", c.body);
  json.Set("is_body_signed", c.is_body_signed);
  json.Set("key", c.credentials.access_key_id);
  json.Set("secret", c.credentials.secret_access_key);
  json.Set("token", c.credentials.session_token);
  json.Set("date", FormatAmzDate(c.time));
  return json;
}

bool HasBotocore() {
  if (!base::FileExists(kPython)) return false;
  const test::ProgramResult result = test::RunProgram({.program = kPython,
                                                       .arguments = {"-c", "import botocore"},
                                                       .environment = {},
                                                       .working_directory = ::testing::TempDir()},
                                                      std::chrono::seconds(60));
  return result.status.exit_code == 0;
}

TEST(Botocore, SignsAnyRequestAsWeDo) {
  if (!HasBotocore()) GTEST_SKIP() << "python3-botocore is not installed";
  constexpr uint64_t kSeed = 20'150'830;
  SCOPED_TRACE(kSeed);
  base::Random random(kSeed);
  std::vector<Case> cases;
  std::string lines;
  for (int i = 0; i < kCaseCount; ++i) {
    cases.push_back(MakeCase(random));
    lines += AsJson(cases.back()).Dump() + "\n";
  }
  const base::TemporaryDirectory folder(::testing::TempDir(), "botocore-");
  base::WriteFileAtomic(folder.path() + "/cases.jsonl", base::AsBytes(lines));
  const test::ProgramResult result =
      test::RunProgram({.program = kPython,
                        .arguments = {LAMBDAML_BOTOCORE_SIGNATURES, folder.path() + "/cases.jsonl"},
                        .environment = {},
                        .working_directory = folder.path()},
                       std::chrono::seconds(100));
  ASSERT_EQ(result.err, "");
  std::istringstream theirs(result.out);
  for (size_t i = 0; i < cases.size(); ++i) {
    std::string authorization;
    ASSERT_TRUE(std::getline(theirs, authorization));
    EXPECT_EQ(OurAuthorization(cases[i]), authorization) << AsJson(cases[i]).Dump();
  }
}

}  // namespace
}  // namespace lambdaml::net
