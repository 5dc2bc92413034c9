// What the S3 store makes of answers that are late, cut off, wrong or missing: from a server that
// says what the test wants, and from Ceph's gateway behind a bad network.
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

#include "support/fault_proxy.h"
#include "support/processes.h"
#include "support/scripted_http_server.h"
#include "support/servers/rgw_server.h"
#include "support/servers/s3_backend.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::S3Sizes;
using store::S3Store;
using testing::AllOf;
using testing::HasSubstr;
using Keys = std::vector<std::string>;

base::Deadline Soon() { return base::Deadline::After(seconds(30)); }

S3Store OpenAt(const std::string& endpoint, const S3Sizes& sizes) {
  const auto url = store::StoreUrl::Parse("s3://bucket/p?region=us-east-1&endpoint=" + endpoint);
  return S3Store(store::LocateS3(url), net::FixedCredentials(RgwServer::credentials()), sizes);
}

// A server that gives these answers, one after the other, and the store that talks to it.
struct Scripted {
  explicit Scripted(std::vector<ScriptedReply> script, const S3Sizes& sizes = {})
      : replies(std::move(script)),
        server([this](const ReceivedRequest& request) {
          const auto number = static_cast<size_t>(request.number);
          return number < replies.size() ? replies[number] : ScriptedReply{HttpAnswer(400, "")};
        }),
        s3(OpenAt(server.url(), sizes)) {}

  std::vector<ScriptedReply> replies;
  ScriptedHttpServer server;
  S3Store s3;
};

ScriptedReply Answer(int status, const std::string& body, const std::string& headers = "") {
  return {.bytes = HttpAnswer(status, body, headers)};
}

ScriptedReply Failure(int status, const std::string& code, const std::string& headers = "") {
  return Answer(status, fmt::format("<Error><Code>{}</Code><Message>no</Message></Error>", code),
                headers);
}

// Bytes `first` to the end of `part` of an object of `size` bytes.
ScriptedReply Part(const std::string& part, size_t first, size_t size) {
  return Answer(206, part,
                fmt::format("ETag: \"e\"\r\nContent-Range: bytes {}-{}/{}\r\n", first,
                            first + part.size() - 1, size));
}

ScriptedReply LostAnswer() { return {.then = ScriptedReply::Then::kClose}; }

template <typename Call>
base::Error ErrorOf(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  return {ErrorCode::kInternal, "no error"};
}

TEST(S3FaultsTest, AThrottledReadIsTriedAgainAndCounted) {
  Scripted it({Failure(503, "SlowDown"), Failure(500, "InternalError"), Part("value", 0, 5)});
  EXPECT_EQ(it.s3.Get("key", Soon())->text(), "value");
  EXPECT_EQ(it.s3.counters().get_requests, 3U);
  EXPECT_EQ(it.s3.counters().retries, 2U);
  EXPECT_EQ(it.s3.counters().bytes_read, 5U);
}

TEST(S3FaultsTest, AnAnswerThatBreaksOffIsAskedForAgain) {
  std::string cut = Part("value", 0, 5).bytes;
  cut.resize(cut.size() - 2);
  Scripted it({{.bytes = cut, .then = ScriptedReply::Then::kClose}, Part("value", 0, 5)});
  EXPECT_EQ(it.s3.Get("key", Soon())->text(), "value");
  EXPECT_EQ(it.s3.counters().retries, 1U);
}

TEST(S3FaultsTest, ALateAnswerIsAnAnswer) {
  ScriptedReply late = Part("value", 0, 5);
  late.delay = milliseconds(300);
  Scripted it({late});
  EXPECT_EQ(it.s3.Get("key", Soon())->text(), "value");
  EXPECT_EQ(it.s3.counters().get_requests, 1U);
}

TEST(S3FaultsTest, SilenceEndsAtTheDeadline) {
  Scripted it({{.then = ScriptedReply::Then::kSayNothing}});
  const base::Error error =
      ErrorOf([&] { it.s3.Get("key", base::Deadline::After(milliseconds(200))); });
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("get key"), HasSubstr(it.server.authority())));
}

TEST(S3FaultsTest, AServerWithoutRangesIsUnderstood) {
  Scripted it({Answer(200, "value", "ETag: \"e\"\r\n")});
  EXPECT_EQ(it.s3.Get("key", Soon())->text(), "value");
}

TEST(S3FaultsTest, RangesThatAreNotThoseAskedForAreRefused) {
  const std::vector<std::string> headers = {
      "ETag: \"e\"\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 1-4/8\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-4/8\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-3/3\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-3/4\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-3/*\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-3/8x\r\n",
      "ETag: \"e\"\r\nContent-Range: bytes 0-3/99999999999999999999\r\n",
      "ETag: \"e\"\r\nContent-Range: octets 0-3/8\r\n",
      "Content-Range: bytes 0-3/8\r\n",
  };
  for (const std::string& header : headers) {
    const std::string body = header.find("0-3/4") == std::string::npos ? "abcd" : "abc";
    Scripted it({Answer(206, body, header)}, {.range_bytes = 4});
    const base::Error error = ErrorOf([&] { it.s3.Get("key", Soon()); });
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << header;
    EXPECT_THAT(error.message(), HasSubstr("is the endpoint an S3 server?")) << header;
  }
}

TEST(S3FaultsTest, ALaterRangeThatIsWrongIsRefused) {
  Scripted it({Part("abcd", 0, 8), Part("efgh", 0, 8)}, {.range_bytes = 4});
  EXPECT_EQ(ErrorOf([&] { it.s3.Get("key", Soon()); }).code(), ErrorCode::kUnavailable);
}

TEST(S3FaultsTest, AnObjectLargerThanAnyValueIsRefusedBeforeItIsRead) {
  Scripted it({Part("abcd", 0, size_t{1} << 43)}, {.range_bytes = 4});
  EXPECT_EQ(ErrorOf([&] { it.s3.Get("key", Soon()); }).code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(it.server.requests().size(), 1U);
}

TEST(S3FaultsTest, AnObjectDeletedBetweenItsRangesIsMissing) {
  Scripted it({Part("abcd", 0, 8), Failure(404, "NoSuchKey"), Failure(404, "NoSuchKey")},
              {.range_bytes = 4});
  EXPECT_FALSE(it.s3.Get("key", Soon()));
}

TEST(S3FaultsTest, AnswersThatAreNotS3sAreRefused) {
  const std::string html = "<!DOCTYPE html><html><body>It works!</body></html>";
  const auto say = [&](const std::string& body) {
    return std::vector<ScriptedReply>{Answer(200, body, "ETag: \"e\"\r\n")};
  };
  const S3Sizes parts = {.multipart_min_bytes = 1, .part_bytes = 4};
  for (const std::string& body : {html, std::string(), std::string("\0\x01garbage", 9)}) {
    Scripted list(say(body));
    EXPECT_EQ(ErrorOf([&] { list.s3.List("", Soon()); }).code(), ErrorCode::kUnavailable);
    Scripted deletion(say(body));
    EXPECT_EQ(ErrorOf([&] { deletion.s3.Delete(Keys{"key"}, Soon()); }).code(),
              ErrorCode::kUnavailable);
    Scripted upload(say(body), parts);
    EXPECT_EQ(ErrorOf([&] { upload.s3.Put("key", AsBytes("value"), Soon()); }).code(),
              ErrorCode::kUnavailable);
  }
}

TEST(S3FaultsTest, AConflictOfConditionalWritesIsTriedAgain) {
  Scripted it({Failure(409, "ConditionalRequestConflict"), Answer(200, "")});
  EXPECT_TRUE(it.s3.PutIfAbsent("key", AsBytes("value"), Soon()));
  EXPECT_EQ(it.s3.counters().put_requests, 2U);
  EXPECT_EQ(it.server.requests()[1].headers.at("if-none-match"), "*");
}

TEST(S3FaultsTest, AConditionThatFailsIsAValue) {
  Scripted it({Failure(412, "PreconditionFailed"), Failure(412, "PreconditionFailed"),
               Failure(404, "NoSuchKey")});
  EXPECT_FALSE(it.s3.PutIfAbsent("key", AsBytes("value"), Soon()));
  EXPECT_FALSE(it.s3.CompareAndSwap("key", "v", AsBytes("value"), Soon()));
  EXPECT_FALSE(it.s3.CompareAndSwap("key", "v", AsBytes("value"), Soon()));
  EXPECT_EQ(it.server.requests()[1].headers.at("if-match"), "v");
}

TEST(S3FaultsTest, AWriterWhoseAnswerWasLostMayFindItsOwnValue) {
  Scripted it({LostAnswer(), Failure(412, "PreconditionFailed")});
  EXPECT_FALSE(it.s3.PutIfAbsent("key", AsBytes("value"), Soon()));
  EXPECT_EQ(it.s3.counters().retries, 1U);
}

constexpr const char* kUploadId =
    "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>";
constexpr S3Sizes kTwoParts = {.multipart_min_bytes = 1, .part_bytes = 4};  // of "abcdefg"

// A server that takes an upload in two parts and answers its completion with `completions`.
std::vector<ReceivedRequest> Upload(std::vector<ScriptedReply> completions,
                                    const std::function<void(S3Store&)>& body) {
  size_t completion_count = 0;
  ScriptedHttpServer server([&](const ReceivedRequest& request) {
    if (request.method == "PUT") return Answer(200, "", "ETag: \"e\"\r\n");
    if (request.method == "DELETE") return Answer(204, "");
    if (request.target.find("uploads") != std::string::npos) return Answer(200, kUploadId);
    return completions.at(completion_count++);
  });
  S3Store s3 = OpenAt(server.url(), kTwoParts);
  body(s3);
  return server.requests();
}

constexpr const char* kComplete = "<CompleteMultipartUploadResult/>";

TEST(S3FaultsTest, ACompletionThatFailsAfterItsStatusIsTriedAgain) {
  const auto requests = Upload({Failure(200, "InternalError"), Answer(200, kComplete)},
                               [](S3Store& s3) { s3.Put("key", AsBytes("abcdefg"), Soon()); });
  ASSERT_EQ(requests.size(), 5U);
  EXPECT_EQ(requests[0].target, "/bucket/p/key?uploads=");
  EXPECT_EQ(requests[1].body + requests[2].body,
            requests[1].body.size() == 4 ? "abcdefg" : "efgabcd");  // they come in any order
  EXPECT_EQ(requests[4].target, "/bucket/p/key?uploadId=id");
  EXPECT_EQ(requests[4].body,
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>\"e\"</ETag></Part></CompleteMultipartUpload>");
}

TEST(S3FaultsTest, ACompletionWhoseAnswerWasLostIsRecognised) {
  const auto requests = Upload({LostAnswer(), Failure(404, "NoSuchUpload")},
                               [](S3Store& s3) { s3.Put("key", AsBytes("abcdefg"), Soon()); });
  EXPECT_EQ(requests.size(), 5U);
}

TEST(S3FaultsTest, AnUploadThatVanishesIsAnErrorAndAborted) {
  const auto requests = Upload({Failure(404, "NoSuchUpload")}, [](S3Store& s3) {
    const auto error = ErrorOf([&] { s3.Put("key", AsBytes("abcdefg"), Soon()); });
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.message(), HasSubstr("lifecycle rule"));
    EXPECT_EQ(s3.counters().put_requests, 4U);
    EXPECT_EQ(s3.counters().delete_requests, 1U);
  });
  EXPECT_EQ(requests.back().method, "DELETE");
  EXPECT_EQ(requests.back().target, "/bucket/p/key?uploadId=id");
}

TEST(S3FaultsTest, KeysThatCouldNotBeDeletedAreTriedAgainAlone) {
  Scripted it({Answer(200,
                      "<DeleteResult><Error><Key>p/b</Key><Code>InternalError</Code></Error>"
                      "<Error><Key>p/c</Key><Code>NoSuchKey</Code></Error></DeleteResult>"),
               Answer(200, "<DeleteResult/>")});
  it.s3.Delete(Keys{"a", "b", "c"}, Soon());
  const auto requests = it.server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].target, "/bucket?delete=");
  EXPECT_EQ(requests[1].body,
            "<Delete><Quiet>true</Quiet><Object><Key>p/b</Key></Object></Delete>");
  EXPECT_EQ(it.s3.counters().delete_requests, 2U);
  EXPECT_EQ(it.s3.counters().retries, 1U);
}

TEST(S3FaultsTest, AKeyThatMustNotBeDeletedIsNamed) {
  Scripted it({Answer(200,
                      "<DeleteResult><Error><Key>p/b</Key><Code>AccessDenied</Code></Error>"
                      "</DeleteResult>")});
  const auto error = ErrorOf([&] { it.s3.Delete(Keys{"a", "b"}, Soon()); });
  EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("p/b"), HasSubstr("s3:DeleteObject on")));
}

TEST(S3FaultsTest, ABucketInAnotherRegionIsSaid) {
  Scripted it({Failure(301, "PermanentRedirect", "x-amz-bucket-region: eu-west-1\r\n")});
  const auto error = ErrorOf([&] { it.s3.Get("key", Soon()); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message(), HasSubstr("eu-west-1"));
}

TEST(S3FaultsTest, AWrongSecretAndAnUnknownKeyAreTold) {
  Scripted it({Failure(403, "SignatureDoesNotMatch"), Failure(403, "InvalidAccessKeyId")});
  for (const char* variable : {"AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"}) {
    const auto error = ErrorOf([&] { it.s3.Get("key", Soon()); });
    EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
    EXPECT_THAT(error.message(), HasSubstr(variable));
  }
}

TEST(S3FaultsTest, AWrongClockIsSaid) {
  Scripted it({Failure(403, "RequestTimeTooSkewed")});
  const auto error = ErrorOf([&] { it.s3.Get("key", Soon()); });
  EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(error.message(), HasSubstr("clock"));
}

class S3BadNetworkTest : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
  }
};

TEST_P(S3BadNetworkTest, CallsSurviveRequestsAndAnswersThatAreLost) {
  RgwServer& server = RgwServer::Shared();
  const std::string bucket = server.MakeBucket();
  FaultProxy proxy(server.port(),
                   {.seed = GetParam(), .failure_probability = 0.1, .speaks_http = true});
  const auto url = store::StoreUrl::Parse(
      fmt::format("s3://{}/p?endpoint=http://127.0.0.1:{}", bucket, proxy.port()));
  S3Store s3(store::LocateS3(url), net::FixedCredentials(RgwServer::credentials()),
             {.range_bytes = 10'000, .multipart_min_bytes = 6 << 20, .part_bytes = 5 << 20});
  const auto value_of = [](int i) {
    return base::Bytes(static_cast<size_t>(1 + i * 777), static_cast<std::byte>(i));
  };
  RunInThreads(3, [&](int thread) {
    for (int i = 0; i < 60; ++i) {
      const std::string key = fmt::format("{}/{}", thread, i);
      s3.Put(key, value_of(i), Soon());
      const auto value = s3.Wait(key, Soon());
      if (!value || !std::ranges::equal(value->span(), value_of(i))) {
        throw std::runtime_error("wrong value of " + key);
      }
      s3.PutIfAbsent(key, AsBytes("x"), Soon());
    }
  });
  const base::Bytes large(11 << 20, std::byte{3});
  s3.Put("large", large, Soon());
  EXPECT_TRUE(std::ranges::equal(s3.Get("large", Soon())->span(), large));
  EXPECT_EQ(s3.List("", Soon()).size(), 181U);
  s3.DeletePrefix("", Soon());
  EXPECT_EQ(s3.List("", Soon()), Keys{});
  EXPECT_GE(proxy.failures(), 10U);
  EXPECT_GE(s3.counters().retries, 10U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, S3BadNetworkTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace lambdaml::test
