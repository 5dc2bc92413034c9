// The DynamoDB store when the service throttles, loses answers, answers wrongly or not at all.
#include <atomic>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/store/dynamodb_items.h"
#include "lambdaml/store/dynamodb_store.h"

#include "support/scripted_http_server.h"
#include "support/servers/dynamodb_server.h"
#include "support/servers/tcp_proxy.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::Error;
using base::ErrorCode;
using base::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Keys = std::vector<std::string>;

constexpr const char* kSecret = "secret-that-is-shown-to-nobody";
constexpr const char* kToken = "token-that-is-shown-to-nobody";

Deadline Soon() { return Deadline::After(seconds(30)); }

std::unique_ptr<store::DynamoDbStore> OpenAt(const std::string& endpoint,
                                             const std::string& parameters = "") {
  net::Credentials credentials;
  credentials.access_key_id = "AKIATESTTESTTEST0001";
  credentials.secret_access_key = kSecret;
  credentials.session_token = kToken;
  return std::make_unique<store::DynamoDbStore>(
      fmt::format("dynamodb://table?region=us-east-1&endpoint={}{}", endpoint, parameters),
      net::FixedCredentials(credentials));
}

// Fails the test if the call ends well, or if its error shows a secret.
Error ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), AllOf(Not(HasSubstr(kSecret)), Not(HasSubstr(kToken))));
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, "no error"};
}

ScriptedReply Reply(const std::string& body, int status = 200) {
  return {.bytes = HttpAnswer(status, body)};
}

ScriptedReply Failure(const std::string& code, const std::string& message = "because") {
  return Reply(fmt::format(R"({{"__type":"com.amazonaws.dynamodb.v20120810#{}","message":"{}"}})",
                           code, message),
               400);
}

// The puts or deletes of a BatchWriteItem, or the keys of a BatchGetItem, on the table.
Json::Array ItemsOf(const ReceivedRequest& request) {
  const Json items = Json::Parse(request.body, "request").At("RequestItems").At("table");
  return items.is_array() ? items.AsArray() : items.At("Keys").AsArray();
}

std::string ItemJson(const std::string& key, const std::string& value) {
  std::string json;
  store::AppendItem("key", key, AsBytes(value), "0123456789abcdef", json);
  return json;
}

std::vector<store::KeyValue> Entries(const Keys& keys) {
  std::vector<store::KeyValue> entries;
  for (const std::string& key : keys) entries.push_back({key, AsBytes(key)});
  return entries;
}

TEST(DynamoDbFaultsTest, WhatIsLeftUndoneIsWrittenAgain) {
  // Each time, the service takes the first item only.
  ScriptedHttpServer server([](const ReceivedRequest& request) {
    Json::Array items = ItemsOf(request);
    items.erase(items.begin());
    Json undone = Json::EmptyObject();
    if (!items.empty()) undone.Set("table", Json(items));
    Json answer = Json::EmptyObject();
    answer.Set("UnprocessedItems", undone);
    return Reply(answer.Dump());
  });
  const auto store = OpenAt(server.url());
  store->PutAll(Entries({"a", "b", "c"}), Soon());
  store->Delete(Keys{"x", "y"}, Soon());
  std::vector<size_t> sizes;
  for (const ReceivedRequest& request : server.requests()) {
    sizes.push_back(ItemsOf(request).size());
  }
  EXPECT_THAT(sizes, testing::ElementsAre(3, 2, 1, 2, 1));
  EXPECT_EQ(store->counters().put_requests, 3U);
  EXPECT_EQ(store->counters().delete_requests, 2U);
  EXPECT_EQ(store->counters().bytes_written, 3U);
  EXPECT_EQ(store->counters().write_units, 5U);  // the answers do not say
}

TEST(DynamoDbFaultsTest, WhatIsLeftUnreadIsReadAgain) {
  ScriptedHttpServer server([](const ReceivedRequest& request) {
    Json::Array keys = ItemsOf(request);
    const std::string first(store::StringAttribute(keys[0], "key"));
    keys.erase(keys.begin());
    Json rest = Json::EmptyObject();
    rest.Set("Keys", Json(keys));
    return Reply(fmt::format(R"({{"Responses":{{"table":[{}]}},"UnprocessedKeys":{{{}}}}})",
                             first == "missing" ? "" : ItemJson(first, "value of " + first),
                             keys.empty() ? "" : fmt::format(R"("table":{})", rest.Dump())));
  });
  const auto store = OpenAt(server.url());
  const auto values = store->WaitAll(Keys{"a", "missing", "b"}, Deadline::After(milliseconds(-1)));
  EXPECT_EQ(values[0]->text(), "value of a");
  EXPECT_FALSE(values[1]);
  EXPECT_EQ(values[2]->text(), "value of b");
  EXPECT_EQ(store->counters().get_requests, 3U);
  EXPECT_EQ(store->counters().read_units, 3U);
}

TEST(DynamoDbFaultsTest, EveryReadIsConsistent) {
  ScriptedHttpServer server(
      [](const ReceivedRequest&) { return Reply(R"({"Responses":{},"Items":[]})"); });
  const auto store = OpenAt(server.url());
  store->Get("key", Soon());
  store->GetVersioned("key", Soon());
  store->Wait("key", Deadline::After(milliseconds(-1)));
  store->List("prefix", Soon());
  EXPECT_EQ(server.requests().size(), 4U);
  for (const ReceivedRequest& request : server.requests()) {
    EXPECT_THAT(request.body, HasSubstr(R"("ConsistentRead":true)"));
    EXPECT_THAT(request.body, HasSubstr(R"("ReturnConsumedCapacity":"TOTAL")"));
  }
}

TEST(DynamoDbFaultsTest, ATableThatTakesNothingIsSaidToBeTooSlow) {
  ScriptedHttpServer server([](const ReceivedRequest& request) {
    Json undone = Json::EmptyObject();
    undone.Set("table", Json(ItemsOf(request)));
    Json answer = Json::EmptyObject();
    answer.Set("UnprocessedItems", undone);
    return Reply(answer.Dump());
  });
  const auto store = OpenAt(server.url());
  const Error error = ErrorOf([&] {
    store->PutAll(Entries({"a", "b"}), Deadline::After(milliseconds(300)));
  });
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.message(), HasSubstr("put a and 1 more in dynamodb://table"));
  EXPECT_THAT(error.message(), HasSubstr("throughput of the tables is exceeded"));
  EXPECT_GT(server.requests().size(), 2U);
}

TEST(DynamoDbFaultsTest, ThrottlingIsNoFailure) {
  const Keys codes = {"ProvisionedThroughputExceededException", "ThrottlingException",
                      "RequestLimitExceeded", "InternalServerError"};
  ScriptedHttpServer server([&](const ReceivedRequest& request) {
    const auto number = static_cast<size_t>(request.number);
    return number < codes.size() ? Failure(codes[number])
                                 : Reply(R"({"ConsumedCapacity":{"CapacityUnits":3}})");
  });
  const auto store = OpenAt(server.url());
  store->Put("key", AsBytes("value"), Soon());
  EXPECT_EQ(store->counters().put_requests, 5U);
  EXPECT_EQ(store->counters().retries, 4U);
  EXPECT_EQ(store->counters().bytes_written, 5U);
  EXPECT_EQ(store->counters().write_units, 3U);
}

TEST(DynamoDbFaultsTest, UnitsThatTheServiceDoesNotTellAreComputed) {
  const std::string value(9000, 'v');
  ScriptedHttpServer server([&](const ReceivedRequest& request) {
    const std::string target = request.headers.at("x-amz-target");
    return Reply(target.ends_with("GetItem") ? fmt::format(R"({{"Item":{}}})", ItemJson("k", value))
                                             : "{}");
  });
  const auto store = OpenAt(server.url());
  store->Put("k", AsBytes(value), Soon());
  EXPECT_EQ(store->counters().write_units, 9U);
  EXPECT_EQ(store->Get("k", Soon())->size(), 9000U);
  EXPECT_EQ(store->counters().read_units, 3U);
}

TEST(DynamoDbFaultsTest, ADeadEndpointIsNamedInSeconds) {
  const std::string endpoint = fmt::format("http://127.0.0.1:{}", FreePort());
  const auto store = OpenAt(endpoint);
  const Error error = ErrorOf([&] { store->Get("key", Deadline::After(seconds(1))); });
  EXPECT_TRUE(error.code() == ErrorCode::kUnavailable ||
              error.code() == ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.message(), HasSubstr("get key in dynamodb://table"));
  EXPECT_THAT(error.message(), HasSubstr(endpoint.substr(7)));
}

TEST(DynamoDbFaultsTest, WrongCredentialsAndPermissionsAreErrorsAtOnce) {
  for (const char* code :
       {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"}) {
    ScriptedHttpServer server([&](const ReceivedRequest&) { return Failure(code); });
    const auto store = OpenAt(server.url());
    const Error error = ErrorOf([&] { store->Put("key", {}, Soon()); });
    EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied) << error.message();
    EXPECT_EQ(server.requests().size(), 1U);
  }
}

TEST(DynamoDbFaultsTest, WhatIsNoDynamoDbIsSaidToBeNone) {
  for (const char* body :
       {"<html>welcome</html>", "[]", "", R"({"Item":7})", R"({"Item":{"value":7}})",
        R"({"Responses":[]})", R"({"Responses":{"table":7}})", R"({"Responses":{"table":[7]}})",
        R"({"Responses":{},"UnprocessedKeys":[]})",
        R"({"Responses":{},"UnprocessedKeys":{"table":{"Keys":7}}})"}) {
    ScriptedHttpServer server([&](const ReceivedRequest&) { return Reply(body); });
    const auto store = OpenAt(server.url());
    const std::string text = body;
    const bool is_answer_of_get = text.find("Item") != text.npos;
    const Error error = ErrorOf([&] {
      if (is_answer_of_get) {
        store->Get("key", Soon());
      } else {
        store->Wait("key", Soon());
      }
    });
    EXPECT_TRUE(error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kCorrupt)
        << body << ": " << error.message();
  }
}

TEST(DynamoDbFaultsTest, ATableThatIsNotReadyIsWaitedForUntilTheDeadline) {
  ScriptedHttpServer server([](const ReceivedRequest&) {
    return Reply(R"({"Table":{"TableStatus":"CREATING","AttributeDefinitions":[{"AttributeName":)"
                 R"("key","AttributeType":"S"}],"KeySchema":[{"AttributeName":"key"}]}})");
  });
  const auto store = OpenAt(server.url());
  const Error error = ErrorOf([&] { store->Prepare(Deadline::After(milliseconds(200))); });
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_GT(server.requests().size(), 1U);
}

TEST(DynamoDbFaultsTest, ACreationThatMustWaitIsTriedAgain) {
  // Missing; too many at once; missing; made by somebody else; creating; ready.
  const std::string table = R"({{"Table":{{"TableStatus":"{}","AttributeDefinitions":[)"
                            R"({{"AttributeName":"key","AttributeType":"S"}}],)"
                            R"("KeySchema":[{{"AttributeName":"key"}}]}}}})";
  ScriptedHttpServer server([&](const ReceivedRequest& request) {
    switch (request.number) {
      case 0:
      case 2:
        return Failure("ResourceNotFoundException");
      case 1:
        return Failure("LimitExceededException");
      case 3:
        return Failure("ResourceInUseException");
      case 4:
        return Reply(fmt::format(fmt::runtime(table), "CREATING"));
      default:
        return Reply(fmt::format(fmt::runtime(table), "ACTIVE"));
    }
  });
  const auto store = OpenAt(server.url(), "&create=true");
  store->Prepare(Soon());
  EXPECT_EQ(server.requests().size(), 6U);
}

// Between the store and dynalite, loses the answers to some calls.
class DynamoDbLostAnswersTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!DynamoDbServer::IsInstalled()) GTEST_SKIP() << DynamoDbServer::kMissing;
    proxy_ = std::make_unique<TcpProxy>(DynamoDbServer::Shared().port());
    store_ = OpenDynamoDb(
        fmt::format("dynamodb://{}?region=us-east-1&create=true&endpoint=http://127.0.0.1:{}",
                    DynamoDbServer::NewTable(), proxy_->port()));
    store_->Prepare(Soon());
    store_->Put("present", AsBytes("old"), Soon());
    seen_ = store_->GetVersioned("present", Soon())->version;
    proxy_->OnReply([this](std::string* bytes) {
      if (lost_count_ == 0) return true;
      --lost_count_;
      bytes->clear();
      return false;
    });
  }

  std::atomic<int> lost_count_ = 0;  // of the next answers
  std::unique_ptr<TcpProxy> proxy_;
  std::unique_ptr<store::DynamoDbStore> store_;
  std::string seen_;
};

TEST_F(DynamoDbLostAnswersTest, WhoCreatedAKeyKnowsItsOwnValue) {
  lost_count_ = 1;
  EXPECT_TRUE(store_->PutIfAbsent("new", AsBytes("own"), Soon()));
  EXPECT_EQ(lost_count_, 0);
  EXPECT_EQ(store_->counters().retries, 1U);
  lost_count_ = 1;
  EXPECT_FALSE(store_->PutIfAbsent("present", AsBytes("own"), Soon()));
  EXPECT_EQ(store_->Get("present", Soon())->text(), "old");
}

TEST_F(DynamoDbLostAnswersTest, WhoSwappedAValueKnowsItsOwnValue) {
  lost_count_ = 1;
  EXPECT_TRUE(store_->CompareAndSwap("present", seen_, AsBytes("own"), Soon()));
  EXPECT_EQ(lost_count_, 0);
  lost_count_ = 1;
  EXPECT_FALSE(store_->CompareAndSwap("present", seen_, AsBytes("other"), Soon()));
  EXPECT_EQ(store_->Get("present", Soon())->text(), "own");
}

TEST_F(DynamoDbLostAnswersTest, OtherCallsAreMadeAgain) {
  lost_count_ = 1;
  store_->Put("key", AsBytes("value"), Soon());
  lost_count_ = 1;
  EXPECT_EQ(store_->Get("key", Soon())->text(), "value");
  lost_count_ = 1;
  EXPECT_EQ(store_->List("", Soon()), (Keys{"key", "present"}));
  lost_count_ = 1;
  store_->Delete(Keys{"key", "present"}, Soon());
  EXPECT_EQ(store_->List("", Soon()), Keys{});
  EXPECT_EQ(store_->counters().retries, 4U);
}

}  // namespace
}  // namespace lambdaml::test
