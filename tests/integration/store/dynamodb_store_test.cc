// The DynamoDB store against dynalite: exact limits, batches, units, tables, restarts.
#include "lambdaml/store/dynamodb_store.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/store/dynamodb_items.h"

#include "support/processes.h"
#include "support/servers/dynamodb_server.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Keys = std::vector<std::string>;

Deadline Soon() { return Deadline::After(seconds(60)); }

// The error a call ends with; fails the test if it ends well.
base::Error ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, "no error"};
}

class DynamoDbStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!DynamoDbServer::IsInstalled()) GTEST_SKIP() << DynamoDbServer::kMissing;
    table_ = DynamoDbServer::NewTable();
    url_ = DynamoDbServer::Shared().Url(table_, "&create=true");
    owner_ = OpenDynamoDb(url_);
    owner_->Prepare(Soon());
    store_ = OpenDynamoDb(url_);
  }

  // Units written and read by a call.
  std::pair<uint64_t, uint64_t> UnitsOf(const std::function<void()>& call) const {
    const store::Counters before = store_->counters();
    call();
    const store::Counters after = store_->counters();
    return {after.write_units - before.write_units, after.read_units - before.read_units};
  }

  std::string table_;
  std::string url_;
  std::unique_ptr<store::DynamoDbStore> owner_;  // of the table
  std::unique_ptr<store::DynamoDbStore> store_;
};

using Units = std::pair<uint64_t, uint64_t>;

TEST_F(DynamoDbStoreTest, TheLargestValueFitsWithTheLongestKeyAndNoByteMore) {
  const std::string longest(200, 'k');
  const base::Bytes largest(store_->capabilities().value_size_max_bytes, std::byte{7});
  store_->Put(longest, largest, Soon());
  EXPECT_TRUE(std::ranges::equal(store_->Get(longest, Soon())->span(), largest));

  const base::Bytes too_large(largest.size() + 1);
  const base::Error refused = ErrorOf([&] { store_->Put(longest, too_large, Soon()); });
  EXPECT_EQ(refused.code(), ErrorCode::kResourceExhausted);

  // The server would have refused it, too.
  const store::DynamoDbOptions options =
      store::DynamoDbOptions::FromUrl(store::StoreUrl::Parse(url_));
  store::Meter meter;
  store::DynamoDbClient client(options, net::FixedCredentials({}), meter);
  std::string item;
  store::AppendItem("key", longest, too_large, "0123456789abcdef", item);
  const base::Error error = ErrorOf([&] {
    client.Call({.action = "PutItem",
                 .operation = "put",
                 .body = fmt::format(R"({{"TableName":"{}","Item":{}}})", table_, item)},
                Soon());
  });
  EXPECT_THAT(error.message(), HasSubstr("Item size has exceeded the maximum allowed size"));
}

TEST_F(DynamoDbStoreTest, MoreKeysThanABatchHoldsGoInSeveral) {
  std::vector<std::string> keys;
  for (int i = 0; i < 260; ++i) keys.push_back(fmt::format("many/{}", i));
  std::vector<store::KeyValue> entries;
  for (const std::string& key : keys) entries.push_back({key, AsBytes(key)});
  store_->PutAll(entries, Soon());
  EXPECT_EQ(store_->counters().put_requests, 11U);  // 260 / 25
  EXPECT_EQ(store_->counters().write_units, 260U);

  keys.push_back("many/7");  // twice
  const auto values = store_->WaitAll(keys, Soon());
  ASSERT_EQ(values.size(), 261U);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(values[i]) << i;
    EXPECT_EQ(values[i]->text(), keys[i]);
  }
  EXPECT_EQ(store_->counters().get_requests, 3U);  // 260 / 100
  EXPECT_EQ(store_->counters().read_units, 260U);

  store_->Delete(keys, Soon());
  EXPECT_EQ(store_->counters().delete_requests, 11U);
  EXPECT_THAT(store_->List("", Soon()), ElementsAre());
}

TEST_F(DynamoDbStoreTest, OfEqualKeysInOneCallTheLastStays) {
  const std::vector<store::KeyValue> entries = {
      {"same", AsBytes("first")}, {"other", AsBytes("x")}, {"same", AsBytes("last")}};
  store_->PutAll(entries, Soon());
  EXPECT_EQ(store_->Get("same", Soon())->text(), "last");
  store_->PutAll({}, Soon());
}

// dynalite leaves undone what exceeds 1.4 MB of one answer.
TEST_F(DynamoDbStoreTest, ValuesThatDoNotFitOneAnswerAreAskedForAgain) {
  Keys keys;
  std::vector<base::Bytes> values;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < 12; ++i) {
    keys.push_back(fmt::format("large/{}", i));
    values.emplace_back(300'000 + i, static_cast<std::byte>(i));
  }
  for (size_t i = 0; i < keys.size(); ++i) entries.push_back({keys[i], values[i]});
  store_->PutAll(entries, Soon());
  EXPECT_EQ(store_->counters().put_requests, 4U);  // three in 1 MB

  // Another handle does not know how large they are, and asks for all at once.
  const auto reader = OpenDynamoDb(url_);
  const auto read = reader->WaitAll(keys, Soon());
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(read[i]) << i;
    EXPECT_TRUE(std::ranges::equal(read[i]->span(), values[i])) << i;
  }
  const uint64_t requests = reader->counters().get_requests;
  EXPECT_GT(requests, 1U);
  reader->WaitAll(keys, Soon());
  EXPECT_EQ(reader->counters().get_requests - requests, 4U);  // now it knows
}

TEST_F(DynamoDbStoreTest, UnitsAreThoseOfDynamoDb) {
  const std::string key = "unit/key";
  const auto value_of = [&](uint64_t item_size_bytes) {
    return base::Bytes(item_size_bytes - store::ItemSizeBytes("key", key, 0));
  };
  const auto put = [&](uint64_t size) { store_->Put(key, value_of(size), Soon()); };
  EXPECT_EQ(UnitsOf([&] { put(1024); }), Units(1, 0));
  EXPECT_EQ(UnitsOf([&] { put(1025); }), Units(2, 0));
  EXPECT_EQ(UnitsOf([&] { store_->Get(key, Soon()); }), Units(0, 1));
  EXPECT_EQ(UnitsOf([&] { store_->Get("missing", Soon()); }), Units(0, 1));
  EXPECT_EQ(UnitsOf([&] { put(8193); }), Units(9, 0));
  EXPECT_EQ(UnitsOf([&] { store_->Get(key, Soon()); }), Units(0, 3));
  EXPECT_EQ(UnitsOf([&] { put(100); }), Units(9, 0));  // what it replaces counts
  const auto seen = store_->GetVersioned(key, Soon());
  EXPECT_EQ(UnitsOf([&] { store_->PutIfAbsent(key, value_of(3000), Soon()); }), Units(3, 0));
  EXPECT_EQ(UnitsOf([&] { store_->CompareAndSwap(key, seen->version, value_of(5000), Soon()); }),
            Units(5, 0));
  const Keys keys = {key, "missing"};
  EXPECT_EQ(UnitsOf([&] { store_->WaitAll(keys, Deadline::After(milliseconds(-1))); }),
            Units(0, 2 + 1));
  EXPECT_EQ(UnitsOf([&] { store_->Delete(keys, Soon()); }), Units(5 + 1, 0));
}

TEST_F(DynamoDbStoreTest, ListGoesThroughAllPages) {
  const base::Bytes large(300'000);
  Keys keys;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < 8; ++i) keys.push_back(fmt::format("page/{}", i));
  for (const std::string& key : keys) entries.push_back({key, large});
  store_->PutAll(entries, Soon());
  EXPECT_EQ(store_->List("", Soon()), keys);
  EXPECT_GT(store_->counters().list_requests, 1U);  // a page ends after 1 MB
  EXPECT_EQ(store_->List("page/3", Soon()), (Keys{"page/3"}));
}

TEST_F(DynamoDbStoreTest, WhatIsToBeMergedStandsInTheFirstTable) {
  const std::string tmp = DynamoDbServer::NewTable();
  DynamoDbServer& server = DynamoDbServer::Shared();
  const auto pair = OpenDynamoDb(server.Url(tmp + "," + table_, "&create=true"));
  pair->Prepare(Soon());
  pair->PutAll(std::vector<store::KeyValue>{{"job/to3/1.0", AsBytes("inbox")},
                                            {"job/all/1.0", AsBytes("broadcast")}},
               Soon());
  pair->Put("job/to0/1.3", AsBytes("one"), Soon());
  pair->Put("job/model/0", AsBytes("two"), Soon());
  EXPECT_EQ(OpenDynamoDb(server.Url(tmp))->List("", Soon()), (Keys{"job/to0/1.3", "job/to3/1.0"}));
  EXPECT_EQ(store_->List("", Soon()), (Keys{"job/all/1.0", "job/model/0"}));
  const Keys all = {"job/all/1.0", "job/model/0", "job/to0/1.3", "job/to3/1.0"};
  EXPECT_EQ(pair->List("job/", Soon()), all);
  for (const auto& value : pair->WaitAll(all, Soon())) EXPECT_TRUE(value);
  pair->DeletePrefix("job/", Soon());
  EXPECT_EQ(pair->List("", Soon()), Keys{});
}

TEST_F(DynamoDbStoreTest, ItemsOfAnotherMakeAreSaidToBe) {
  const auto options = store::DynamoDbOptions::FromUrl(store::StoreUrl::Parse(url_));
  store::Meter meter;
  store::DynamoDbClient client(options, net::FixedCredentials({}), meter);
  client.Call({.action = "PutItem",
               .operation = "put",
               .body = fmt::format(R"({{"TableName":"{}","Item":{{"key":{{"S":"odd"}},)"
                                   R"("value":{{"S":"text"}}}}}})",
                                   table_)},
              Soon());
  const base::Error error = ErrorOf([&] { store_->Get("odd", Soon()); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.message(), HasSubstr("get odd in dynamodb://"));
}

TEST_F(DynamoDbStoreTest, AServerThatIsKilledAndReturnsIsNoFailure) {
  DynamoDbServer server(DynamoDbServer::Storage::kDisk);
  const std::string url = server.Url("durable", "&create=true");
  OpenDynamoDb(url)->Prepare(Soon());
  std::atomic<bool> done = false;
  std::atomic<int> written = 0;
  std::thread workers([&] {
    RunInThreads(3, [&](int thread) {
      const auto own = OpenDynamoDb(url);
      for (int i = 0; !done || i < 20; ++i) {
        const std::string key = fmt::format("{}/{}", thread, i);
        own->Put(key, AsBytes(key), Soon());
        if (own->Wait(key, Soon())->text() != key) throw std::runtime_error("lost " + key);
        ++written;
      }
    });
  });
  for (int restart = 0; restart < 2; ++restart) {
    const int before = written;
    while (written < before + 10) std::this_thread::sleep_for(milliseconds(2));
    server.process().Kill();
    std::this_thread::sleep_for(milliseconds(300));
    server.process().Start();
  }
  done = true;
  workers.join();
  EXPECT_EQ(OpenDynamoDb(url)->List("", Soon()).size(), static_cast<size_t>(written));
}

}  // namespace
}  // namespace lambdaml::test
