// Waiting on Redis: no wake-up is lost, however keys, threads, processes and the server behave.
#include <atomic>
#include <gmock/gmock.h>
#include <stdexcept>
#include <thread>

#include "lambdaml/base/random.h"
#include "lambdaml/store/redis_store.h"

#include "redis_testing.h"
#include "support/processes.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using std::chrono::milliseconds;
using store::RedisStore;

class RedisWait : public RedisTest {};

void Exchange(RedisStore& store, int rank, int count, int rounds) {
  base::Random random(static_cast<uint64_t>(rank));
  const Deadline deadline = Deadline::After(std::chrono::seconds(60));
  for (int round = 0; round < rounds; ++round) {
    const std::string key = "r" + std::to_string(round) + "/";
    // Writers come before, during and after the others' first look.
    if (random.Below(3) == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(random.Below(200)));
    }
    store.Put(key + std::to_string(rank), AsBytes(std::to_string(rank)), deadline);
    std::vector<std::string> keys;
    for (int peer = 0; peer < count; ++peer) keys.push_back(key + std::to_string(peer));
    const auto values = store.WaitAll(keys, deadline);
    for (int peer = 0; peer < count; ++peer) {
      const auto& value = values[static_cast<size_t>(peer)];
      if (!value || value->text() != std::to_string(peer)) {
        throw std::runtime_error("missed " + keys[static_cast<size_t>(peer)]);
      }
    }
  }
}

TEST_F(RedisWait, ThousandsOfExchangesAmongThreadsLoseNoWakeUp) {
  const std::string url = RedisServer::Shared().FreshUrl();
  RedisStore shared(url);
  RunInThreads(6, [&](int rank) { Exchange(shared, rank, 6, 500); });
  EXPECT_EQ(shared.counters().retries, 0U);
  shared.DeletePrefix("", Soon());
}

TEST_F(RedisWait, ThousandsOfExchangesAmongProcessesLoseNoWakeUp) {
  const std::string url = RedisServer::Shared().FreshUrl();
  EXPECT_EQ(CountFailingProcesses(4,
                                  [&](int rank) {
                                    RedisStore store(url);
                                    Exchange(store, rank, 4, 1000);
                                  }),
            0);
  RedisStore(url).DeletePrefix("", Soon());
}

TEST_F(RedisWait, AServerThatForgetsWhatItTracksWakesTooOftenButNeverTooSeldom) {
  // With room for one key it forgets all others at once, and says so.
  const RedisServer server({"--tracking-table-max-keys", "1"});
  const std::string url = server.FreshUrl();
  RunInThreads(4, [&](int rank) {
    RedisStore store(url);
    Exchange(store, rank, 4, 100);
  });
}

TEST_F(RedisWait, ManyWaitersOfOneKeyAllWake) {
  const std::string url = RedisServer::Shared().FreshUrl();
  RedisStore store(url);
  std::atomic<int> woken{0};
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(50));
    RedisStore(url).Put("go", AsBytes("now"), Soon());
  });
  RunInThreads(64, [&](int) {
    if (store.Wait("go", Soon())->text() == "now") ++woken;
  });
  writer.join();
  EXPECT_EQ(woken, 64);
}

TEST_F(RedisWait, AKeyThatIsGoneAgainIsWaitedForOn) {
  const std::string url = RedisServer::Shared().FreshUrl();
  RedisStore store(url);
  RedisStore other(url);
  for (int round = 0; round < 100; ++round) {
    const std::string key = "k" + std::to_string(round);
    std::thread writer([&] {
      for (int i = 0; i < 5; ++i) {  // some of them are deleted before the waiter has read them
        other.Put(key, AsBytes("early"), Soon());
        other.Delete(std::vector<std::string>{key}, Soon());
      }
      other.Put(key, AsBytes("last"), Soon());
    });
    const auto value = store.Wait(key, Soon());
    writer.join();
    ASSERT_TRUE(value);
  }
}

TEST_F(RedisWait, TheSameKeyMayBeAskedForTwice) {
  const std::string url = RedisServer::Shared().FreshUrl();
  RedisStore store(url);
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(10));
    RedisStore(url).Put("key", AsBytes("value"), Soon());
  });
  const auto values = store.WaitAll(std::vector<std::string>{"key", "key"}, Soon());
  writer.join();
  EXPECT_EQ(values[0]->text(), "value");
  EXPECT_EQ(values[1]->text(), "value");
  EXPECT_TRUE(store.WaitAll({}, Soon()).empty());
}

TEST_F(RedisWait, AServerWhoseContentsAreFlushedIsWaitedForOn) {
  const RedisServer server;
  const std::string url = server.FreshUrl();
  RedisStore store(url);
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    server.Ask({"FLUSHALL"});
    std::this_thread::sleep_for(milliseconds(20));
    RedisStore(url).Put("key", AsBytes("value"), Soon());
  });
  EXPECT_EQ(store.Wait("key", Soon())->text(), "value");
  writer.join();
}

TEST_F(RedisWait, LastsLongerThanTheHealthCheckAndTheServersPatienceWithIdleClients) {
  const RedisServer server({"--timeout", "3"});
  const std::string url = server.FreshUrl();
  RedisStore store(url);
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::seconds(6));
    RedisStore(url).Put("key", AsBytes("value"), Soon());
  });
  EXPECT_EQ(store.Wait("key", Soon())->text(), "value");
  writer.join();
  EXPECT_EQ(store.counters().retries, 0U);
}

}  // namespace
}  // namespace lambdaml::test
