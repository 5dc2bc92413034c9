// ElastiCache's configuration endpoint, and the listing of keys, as servers of all ages say them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/memcached_store.h"

#include "memcached_script.h"
#include "support/servers/memcached_server.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using store::MemcachedStore;
using testing::ElementsAre;

using Answer = ScriptedMemcached::Answer;

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

std::optional<Answer> ClusterAnswer(const std::string& command, const std::string& config) {
  if (command != "config get cluster") return std::nullopt;
  return Answer{"CONFIG cluster 0 " + std::to_string(config.size()) + "\r\n" + config +
                "\r\nEND\r\n"};
}

TEST(MemcachedCluster, AConfigurationEndpointLeadsToItsNodes) {
  if (!MemcachedServer::IsInstalled()) GTEST_SKIP() << MemcachedServer::kMissing;
  MemcachedServer first;
  MemcachedServer second;
  const std::string config = "12\nlocalhost|127.0.0.1|" + std::to_string(first.port()) +
                             " localhost|127.0.0.1|" + std::to_string(second.port()) + "\n";
  ScriptedMemcached endpoint(
      [&](const std::string& command) { return ClusterAnswer(command, config); });
  MemcachedStore store(endpoint.url() + "/job");
  for (int i = 0; i < 40; ++i) store.Put(std::to_string(i), AsBytes("x"), Soon());

  const std::string place = "memcached://localhost:";
  MemcachedStore direct(place + std::to_string(second.port()) +
                        ",localhost:" + std::to_string(first.port()) + "/job");
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(direct.Get(std::to_string(i), Soon()));
  MemcachedStore half(place + std::to_string(first.port()) + "/job");
  EXPECT_GT(half.List("", Soon()).size(), 5U);
  EXPECT_LT(half.List("", Soon()).size(), 35U);
}

TEST(MemcachedCluster, ConfigurationsThatAreWrongAreNotFollowed) {
  for (const std::string config :
       {"", "12", "12\n", "12\n\n", "x\nlocalhost|127.0.0.1|1\n", "12\nlocalhost|127.0.0.1\n",
        "12\nlocalhost|127.0.0.1|0\n", "12\nlocalhost|127.0.0.1|65536\n",
        "12\nlocalhost|127.0.0.1|11211 \n", "12\n|127.0.0.1|11211\n",
        "12\nlocalhost|127.0.0.1|11211\nmore\n"}) {
    ScriptedMemcached endpoint(
        [&](const std::string& command) { return ClusterAnswer(command, config); });
    try {
      MemcachedStore{endpoint.url()};
      ADD_FAILURE() << "followed " << config;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << config << error.message();
    }
  }
}

TEST(MemcachedListing, TakesOwnKeysOnceAndLeavesForeignAndExpiredOnesOut) {
  ScriptedMemcached server([](const std::string& command) -> std::optional<Answer> {
    if (!command.starts_with("lru_crawler")) return std::nullopt;
    return Answer{
        "key=job%2Fb%2F1 exp=-1 la=1 cas=2 fetch=no cls=1 size=63\n"
        "key=job%2Fa exp=1000101 la=1 cas=2 fetch=no cls=1 size=63\n"
        "key=job%2Fold exp=1000100 la=1 cas=2 fetch=no cls=1 size=63\n"
        "key=job%2Fa exp=1000101 la=1 cas=2 fetch=no cls=1 size=63 flags=0\n"
        "key=jobs%2Fc exp=-1 la=1\nkey=other exp=-1 la=1\nkey=job%2F%25 exp=-1 la=1\n"
        "key=job%2F%2F exp=-1 la=1\nEND\r\n"};
  });
  MemcachedStore store(server.url() + "/job");
  EXPECT_THAT(store.List("", Soon()), ElementsAre("a", "b/1"));
  EXPECT_THAT(store.List("b/", Soon()), ElementsAre("b/1"));
}

TEST(MemcachedListing, AsksOlderServersForTheWalkTheyKnow) {
  ScriptedMemcached server([](const std::string& command) -> std::optional<Answer> {
    if (command == "lru_crawler metadump hash") return Answer{"BADCLASS invalid class id\r\n"};
    if (command == "lru_crawler metadump all") return Answer{"key=a exp=-1 la=1\nEND\r\n"};
    return std::nullopt;
  });
  EXPECT_THAT(MemcachedStore(server.url()).List("", Soon()), ElementsAre("a"));
}

TEST(MemcachedListing, WaitsForAServerThatListsForSomebodyElse) {
  ScriptedMemcached server(
      [count = 0](const std::string& command) mutable -> std::optional<Answer> {
        if (!command.starts_with("lru_crawler")) return std::nullopt;
        return Answer{++count < 3 ? "BUSY currently processing crawler request\r\n"
                                  : "key=a exp=-1 la=1\nEND\r\n"};
      });
  EXPECT_THAT(MemcachedStore(server.url()).List("", Soon()), ElementsAre("a"));
}

TEST(MemcachedListing, LinesThatAreNoneAreErrors) {
  for (const std::string line : {"key= exp=1 la=1\n", "key=a\n", "key=a exp=x\n", "exp=1 key=a\n",
                                 "key=a exp=-2\n", "key=a exp=18446744073709551615\n", "\n"}) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (!command.starts_with("lru_crawler")) return std::nullopt;
      return Answer{line + "END\r\n"};
    });
    MemcachedStore store(server.url());
    EXPECT_THROW(store.List("", Soon()), base::Error) << line;
  }
}

}  // namespace
}  // namespace lambdaml::test
