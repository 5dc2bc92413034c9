// What the Memcached store promises beyond the conformance suite, on servers that are well.
#include "lambdaml/store/memcached_store.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmemcached/memcached.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/leftover_expiry.h"
#include "lambdaml/store/open_store.h"

#include "support/processes.h"
#include "support/servers/memcached_server.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using store::MemcachedConnection;
using store::MemcachedStore;
using testing::ElementsAre;
using testing::HasSubstr;

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class MemcachedStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!MemcachedServer::IsInstalled()) GTEST_SKIP() << MemcachedServer::kMissing;
  }
};

std::string MessageOf(ErrorCode code, const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    return error.message();
  }
  ADD_FAILURE() << "no error";
  return "";
}

uint64_t StatOf(const MemcachedServer& server, const std::string& name) {
  MemcachedConnection connection({"127.0.0.1", server.port()}, Soon());
  return std::stoull(connection.Stats(Soon()).at(name));
}

TEST_F(MemcachedStoreTest, ValuesUpToTheLimitTheServerStatesAreAccepted) {
  struct Case {
    std::vector<std::string> arguments;
    uint64_t item_size_max_bytes;
  };
  const std::string prefix(49, 'p');
  const std::string key(200, 'k');
  for (const Case& test :
       {Case{{}, 1 << 20}, Case{{"-I", "8k", "-o", "slab_chunk_max=4096"}, 8192},
        Case{{"-I", "2m"}, 2 << 20}, Case{{"-I", "128m", "-m", "1024"}, 128 << 20}}) {
    MemcachedServer server(test.arguments);
    const auto store = store::OpenStore(server.url(prefix));
    const uint64_t limit = store->capabilities().value_size_max_bytes;
    EXPECT_EQ(limit, test.item_size_max_bytes - 512);
    base::Bytes value(limit, std::byte{42});
    value.back() = std::byte{7};
    store->Put(key, value, Soon());
    EXPECT_TRUE(std::ranges::equal(store->Get(key, Soon())->span(), value));
    value.push_back({});
    MessageOf(ErrorCode::kResourceExhausted, [&] { store->Put(key, value, Soon()); });
  }
}

TEST_F(MemcachedStoreTest, UrlsThatCannotWorkAreRefusedWithTheReason) {
  const auto refusal = [](const std::string& url) {
    return MessageOf(ErrorCode::kInvalidArgument, [&] { MemcachedStore{url}; });
  };
  EXPECT_THAT(refusal("memcached://h/" + std::string(50, 'p')), HasSubstr("at most 49 bytes"));
  EXPECT_THAT(refusal("memcached://h/a//b"), HasSubstr("prefix"));
  EXPECT_THAT(refusal("memcached://h/a b"), HasSubstr("prefix"));
  EXPECT_THAT(refusal("memcached://h?x=1"), HasSubstr("no such parameter: x"));
  EXPECT_THAT(refusal("memcached://h:1,g:1,h:1"), HasSubstr("h:1 is given twice"));
  EXPECT_THAT(refusal("memcached://"), HasSubstr("host is missing"));
  const std::string message = refusal("memcached://user:secret@h");
  EXPECT_THAT(message, HasSubstr("passwords are not supported"));
  EXPECT_THAT(message, testing::Not(HasSubstr("secret")));
}

TEST_F(MemcachedStoreTest, JobsOnOneServerNeverSeeEachOthersKeys) {
  MemcachedServer& server = MemcachedServer::Shared();
  MemcachedStore one(server.url("jobs-1"));
  MemcachedStore ten(server.url("jobs-10"));
  one.Put("a/key", AsBytes("one"), Soon());
  ten.Put("a/key", AsBytes("ten"), Soon());
  EXPECT_EQ(one.Get("a/key", Soon())->text(), "one");
  EXPECT_THAT(one.List("", Soon()), ElementsAre("a/key"));
  one.DeletePrefix("", Soon());
  EXPECT_FALSE(one.Get("a/key", Soon()));
  EXPECT_EQ(ten.Get("a/key", Soon())->text(), "ten");
  ten.DeletePrefix("a/", Soon());
  EXPECT_FALSE(ten.Get("a/key", Soon()));
}

TEST_F(MemcachedStoreTest, WhatACrashedRunLeavesExpires) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  store.Put("put", AsBytes("x"), Soon());
  store.PutIfAbsent("created", AsBytes("x"), Soon());
  store.Put("swapped", AsBytes("x"), Soon());
  const auto seen = store.GetVersioned("swapped", Soon());
  EXPECT_TRUE(store.CompareAndSwap("swapped", seen->version, AsBytes("y"), Soon()));

  const int64_t expiry_s = std::chrono::seconds(store::kLeftoverExpiry).count();
  int count = 0;
  // A node tries again while the server walks over its items for itself.
  store::Meter meter;
  store::MemcachedNode node({"127.0.0.1", server.port()}, meter);
  node.Run("list", Soon(), [&](MemcachedConnection& connection, const auto&) {
    const int64_t now_s = std::stoll(connection.Stats(Soon()).at("time"));
    connection.ListKeys(
        [&](const store::MemcachedListedItem& item) {
          ++count;
          EXPECT_NEAR(static_cast<double>(item.expires_s), static_cast<double>(now_s + expiry_s),
                      60);
        },
        Soon());
  });
  EXPECT_EQ(count, 3);
}

TEST_F(MemcachedStoreTest, CountsWhatTheServerCounts) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  std::vector<std::string> keys;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < 200; ++i) keys.push_back("key/" + std::to_string(i));
  for (const std::string& key : keys) entries.push_back({key, AsBytes(key)});
  store.PutAll(entries, Soon());
  store.WaitAll(keys, Soon());
  store.Wait("never", Deadline::After(std::chrono::milliseconds(20)));
  store.PutIfAbsent(keys[0], {}, Soon());
  const auto seen = store.GetVersioned(keys[1], Soon());
  store.CompareAndSwap(keys[1], seen->version, AsBytes("new"), Soon());
  store.CompareAndSwap(keys[1], seen->version, AsBytes("newer"), Soon());
  store.Delete(std::span(keys).first(150), Soon());
  store.Delete(std::span(keys).first(150), Soon());

  const store::Counters counters = store.counters();
  EXPECT_EQ(counters.get_requests, StatOf(server, "cmd_get"));
  EXPECT_GT(counters.get_requests, 202U);  // the wait polled
  EXPECT_EQ(counters.put_requests, 203U);
  EXPECT_EQ(counters.put_requests, StatOf(server, "cmd_set"));
  EXPECT_EQ(counters.delete_requests, 300U);
  EXPECT_EQ(counters.delete_requests,
            StatOf(server, "delete_hits") + StatOf(server, "delete_misses"));
  EXPECT_EQ(counters.retries, 0U);
}

// The reference client, which shares no code with ours.
TEST_F(MemcachedStoreTest, LibmemcachedReadsWhatIsWrittenAndTheReverse) {
  MemcachedServer& server = MemcachedServer::Shared();
  MemcachedStore store(server.url("libmemcached"));
  memcached_st* const client = memcached_create(nullptr);
  memcached_server_add(client, "127.0.0.1", static_cast<in_port_t>(server.port()));
  std::string value(100'000, 'v');
  value[50'000] = '\0';
  store.Put("ours", AsBytes(value), Soon());
  size_t size = 0;
  uint32_t flags = 0;
  memcached_return_t result{};
  const std::string ours = "libmemcached/ours";
  char* const read = memcached_get(client, ours.data(), ours.size(), &size, &flags, &result);
  ASSERT_EQ(result, MEMCACHED_SUCCESS);
  EXPECT_EQ(std::string_view(read, size), value);
  free(read);

  const std::string theirs = "libmemcached/theirs";
  ASSERT_EQ(memcached_set(client, theirs.data(), theirs.size(), value.data(), value.size(), 60, 0),
            MEMCACHED_SUCCESS);
  EXPECT_EQ(store.Get("theirs", Soon())->text(), value);
  memcached_free(client);
}

TEST_F(MemcachedStoreTest, KeysSpreadOverServersAndTheirOrderDoesNotMatter) {
  MemcachedServer first;
  MemcachedServer second;
  MemcachedStore store("memcached://" + first.place() + "," + second.place() + "/job");
  MemcachedStore reversed("memcached://" + second.place() + "," + first.place() + "/job");
  std::vector<std::string> keys;
  std::vector<store::KeyValue> entries;
  for (int i = 0; i < 300; ++i) keys.push_back("key/" + std::to_string(i));
  for (const std::string& key : keys) entries.push_back({key, AsBytes(key)});
  store.PutAll(entries, Soon());
  EXPECT_GT(StatOf(first, "curr_items"), 100U);
  EXPECT_GT(StatOf(second, "curr_items"), 100U);
  const auto values = reversed.WaitAll(keys, Soon());
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(values[i]->text(), keys[i]);

  std::vector<std::string> sorted = keys;
  std::ranges::sort(sorted);
  EXPECT_EQ(reversed.List("key/", Soon()), sorted);
  reversed.Delete(std::span(keys).first(100), Soon());
  EXPECT_EQ(StatOf(first, "curr_items") + StatOf(second, "curr_items"), 200U);
  store.DeletePrefix("", Soon());
  EXPECT_EQ(StatOf(first, "curr_items") + StatOf(second, "curr_items"), 0U);
}

TEST_F(MemcachedStoreTest, TheSmallestServersLimitHolds) {
  MemcachedServer large({"-I", "4m"});
  MemcachedServer small({"-I", "8k", "-o", "slab_chunk_max=4096"});
  const MemcachedStore store("memcached://" + large.place() + "," + small.place());
  EXPECT_EQ(store.capabilities().value_size_max_bytes, 8192U - 512U);
}

TEST_F(MemcachedStoreTest, ThreadsShareAsManyConnectionsAsThereAreThreads) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  RunInThreads(6, [&](int thread) {
    for (int i = 0; i < 200; ++i) {
      const std::string key = std::to_string(thread) + "/" + std::to_string(i);
      store.Put(key, AsBytes(key), Soon());
      if (store.Get(key, Soon())->text() != key) throw std::runtime_error(key);
    }
  });
  // Those of the threads, the one that asks, and the server's own.
  EXPECT_LE(StatOf(server, "curr_connections"), 6U + 1U + 3U);
  EXPECT_LE(StatOf(server, "total_connections"), 6U + 3U + 5U);
}

TEST_F(MemcachedStoreTest, AServerWithoutListingSaysSoAndLeftoversStay) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"-X"}, std::vector<std::string>{"-o", "no_lru_crawler"}}) {
    MemcachedServer server(arguments);
    MemcachedStore store(server.url("job"));
    EXPECT_FALSE(store.capabilities().can_list);
    store.Put("key", AsBytes("x"), Soon());
    EXPECT_THAT(MessageOf(ErrorCode::kPermissionDenied, [&] { store.List("", Soon()); }),
                HasSubstr("does not list its keys"));
    testing::internal::CaptureStderr();
    store.DeletePrefix("", Soon());
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("until it expires"));
    EXPECT_TRUE(store.Get("key", Soon()));
  }
}

}  // namespace
}  // namespace lambdaml::test
