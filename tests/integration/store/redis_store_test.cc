// What the Redis store asks of its server, and what it says of a server that cannot give it.
#include "lambdaml/store/redis_store.h"

#include <gmock/gmock.h>
#include <thread>

#include "redis_testing.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using store::Counters;
using store::RedisStore;
using testing::AllOf;
using testing::HasSubstr;
using Keys = std::vector<std::string>;

class RedisStoreTest : public RedisTest {};

// How often a command was run, as the server itself counts.
int CallsOf(const RedisServer& server, const std::string& command) {
  const std::string stats = server.Ask({"INFO", "commandstats"});
  const std::string start = "cmdstat_" + command + ":calls=";
  const size_t at = stats.find(start);
  return at == std::string::npos ? 0 : std::stoi(stats.substr(at + start.size()));
}

TEST_F(RedisStoreTest, TheServerCountsAsManyRequestsAsTheStore) {
  const RedisServer server;
  RedisStore store(server.FreshUrl());
  const Keys keys = {"k/1", "k/2", "k/3"};
  const std::vector<store::KeyValue> entries = {
      {keys[0], AsBytes("one")}, {keys[1], AsBytes("two")}, {keys[2], AsBytes("three")}};
  store.PutAll(entries, Soon());
  store.Put("k/4", AsBytes("four"), Soon());
  store.PutIfAbsent("k/4", AsBytes("x"), Soon());
  store.Get("k/1", Soon());
  store.Get("k/missing", Soon());
  store.WaitAll(keys, Soon());
  store.Wait("k/never", Deadline::After(std::chrono::milliseconds(10)));
  const auto seen = store.GetVersioned("k/4", Soon());
  store.CompareAndSwap("k/4", seen->version, AsBytes("five!"), Soon());
  store.CompareAndSwap("k/4", seen->version, AsBytes("lost"), Soon());
  store.List("", Soon());
  store.Delete(keys, Soon());
  const Counters counters = store.counters();
  EXPECT_EQ(counters.get_requests, 7U);
  EXPECT_EQ(CallsOf(server, "get"), 7);
  EXPECT_EQ(counters.put_requests, 7U);
  EXPECT_EQ(CallsOf(server, "set"), 6);  // the swap that was lost sent no value
  EXPECT_EQ(counters.delete_requests, 3U);
  EXPECT_EQ(CallsOf(server, "unlink"), 3);
  EXPECT_EQ(counters.list_requests, 1U);
  EXPECT_EQ(CallsOf(server, "scan"), 1);
  EXPECT_EQ(counters.bytes_written, 3U + 3 + 5 + 4 + 1 + 5);
  EXPECT_EQ(counters.bytes_read, 3U + 11 + 4);
  EXPECT_EQ(counters.retries, 0U);
}

TEST_F(RedisStoreTest, AWaitForAMissingKeyReadsItTwiceHoweverLongItTakes) {
  const RedisServer server;
  const std::string url = server.FreshUrl();
  RedisStore store(url);
  std::thread writer([&] {
    RedisStore other(url);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (int i = 0; i < 50; ++i) other.Put("other/" + std::to_string(i), AsBytes("x"), Soon());
    other.Put("key", AsBytes("value"), Soon());
  });
  EXPECT_EQ(store.Wait("key", Soon())->text(), "value");
  writer.join();
  EXPECT_EQ(store.counters().get_requests, 2U);
  EXPECT_EQ(CallsOf(server, "get"), 2);
}

TEST_F(RedisStoreTest, AServerThatEvictsMessagesIsRefused) {
  const RedisServer server({"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"});
  const base::Error error = ErrorOf([&] { const RedisStore store(server.FreshUrl()); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message(),
              AllOf(HasSubstr(server.place()), HasSubstr("allkeys-lru"), HasSubstr("noeviction")));
}

TEST_F(RedisStoreTest, ValuesExpireOnlyWhereThatDoesNotMakeThemEvictable) {
  const RedisServer keeping({"--maxmemory", "64mb", "--maxmemory-policy", "noeviction"});
  const RedisServer evicting({"--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"});
  const auto expiry_of = [](const RedisServer& server) {
    RedisStore store("redis://" + server.place());
    store.Put("key", AsBytes("x"), Soon());
    return std::stod(server.Ask({"TTL", "lambdaml/key"}));
  };
  EXPECT_NEAR(expiry_of(keeping), 7 * 24 * 3600, 60);
  EXPECT_EQ(expiry_of(evicting), -1);
}

TEST_F(RedisStoreTest, AFullServerIsAnErrorThatSaysWhatToDo) {
  for (const char* policy : {"noeviction", "volatile-lru"}) {
    const RedisServer server({"--maxmemory", "20mb", "--maxmemory-policy", policy});
    RedisStore store(server.FreshUrl());
    const base::Bytes value(3'000'000);
    store.Put("first", value, Soon());
    const base::Error error = ErrorOf([&] {
      for (int i = 0; i < 20; ++i) store.Put("key" + std::to_string(i), value, Soon());
    });
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
    EXPECT_THAT(error.message(), AllOf(HasSubstr("put key"), HasSubstr("maxmemory")));
    const auto seen = store.GetVersioned("first", Soon());
    ASSERT_TRUE(seen) << "evicted";
    EXPECT_EQ(ErrorOf([&] { store.CompareAndSwap("first", seen->version, value, Soon()); }).code(),
              ErrorCode::kResourceExhausted);
    EXPECT_EQ(ErrorOf([&] { store.PutIfAbsent("new", value, Soon()); }).code(),
              ErrorCode::kResourceExhausted);
  }
}

TEST_F(RedisStoreTest, TheLargestValueIsTheServersLimitLessTheVersion) {
  const RedisServer server({"--proto-max-bulk-len", "1mb"});
  RedisStore store(server.FreshUrl());
  const uint64_t limit = store.capabilities().value_size_max_bytes;
  EXPECT_EQ(limit, (1U << 20) - 16);
  store.Put("key", base::Bytes(limit), Soon());
  EXPECT_EQ(store.Get("key", Soon())->size(), limit);
  EXPECT_EQ(ErrorOf([&] { store.Put("key", base::Bytes(limit + 1), Soon()); }).code(),
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(RedisStore(RedisServer::Shared().FreshUrl()).capabilities().value_size_max_bytes,
            (512U << 20) - 16);
}

TEST_F(RedisStoreTest, WhatSomebodyElseWroteIsNoValue) {
  const RedisServer server;
  server.Ask({"SET", "lambdaml/short", "abc"});
  server.Ask({"LPUSH", "lambdaml/list", "abc"});
  RedisStore store("redis://" + server.place());
  for (const char* key : {"short", "list"}) {
    const base::Error error = ErrorOf([&] { store.Get(key, Soon()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_THAT(error.message(), HasSubstr(key));
    EXPECT_THAT(error.message(), HasSubstr("not LambdaML's"));
  }
}

TEST_F(RedisStoreTest, ListTakesPrefixesLiterallyAndLeavesOthersKeysAlone) {
  const RedisServer server;
  server.Ask({"MSET", "other", "1", "lambdaml", "2", "lambdaml/bad key", "3", "lambdamlx/k", "4"});
  RedisStore store("redis://" + server.place());
  store.Put("a/1", AsBytes("x"), Soon());
  store.Put("b/1", AsBytes("x"), Soon());
  EXPECT_EQ(store.List("", Soon()), (Keys{"a/1", "b/1"}));
  for (const char* pattern : {"*", "?/1", "[ab]/1", "a\\", "^", "a/[0-9]"}) {
    EXPECT_EQ(store.List(pattern, Soon()), Keys{}) << pattern;
  }
  store.DeletePrefix("", Soon());
  EXPECT_EQ(server.Ask({"DBSIZE"}), "4");
}

TEST_F(RedisStoreTest, ListWalksOverMoreKeysThanAPageHolds) {
  const RedisServer server;
  server.Ask({"EVAL", "for i = 1, 30000 do redis.call('SET', 'foreign' .. i, 'x') end", "0"});
  RedisStore store("redis://" + server.place());
  Keys keys;
  std::vector<store::KeyValue> entries;
  for (int i = 10'000; i < 13'000; ++i) keys.push_back("k/" + std::to_string(i));
  for (const std::string& key : keys) entries.push_back({key, AsBytes("x")});
  store.PutAll(entries, Soon());
  EXPECT_EQ(store.List("k/", Soon()), keys);
  EXPECT_GE(store.counters().list_requests, 3U);
}

}  // namespace
}  // namespace lambdaml::test
