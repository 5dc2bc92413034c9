// The Memcached store when servers are full, gone, stopped, or not what they seem.
#include <algorithm>
#include <array>
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/store/memcached_store.h"

#include "memcached_script.h"
#include "support/servers/memcached_server.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::MemcachedStore;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

using Answer = ScriptedMemcached::Answer;

Deadline Soon() { return Deadline::After(seconds(60)); }

struct Failure {
  ErrorCode code;
  std::string message;
};

Failure FailureOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return {error.code(), error.message()};
  }
  throw std::runtime_error("no error");
}

class MemcachedFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!MemcachedServer::IsInstalled()) GTEST_SKIP() << MemcachedServer::kMissing;
  }
};

TEST_F(MemcachedFailureTest, AWaitTellsThatTheServerHasThrownOutItems) {
  MemcachedServer server({"-m", "2"});
  MemcachedStore writer(server.url("job"));
  MemcachedStore reader(server.url("job"));
  const base::Bytes value(100'000);
  for (int i = 0; i < 100; ++i) writer.Put("key/" + std::to_string(i), value, Soon());
  const Failure failure = FailureOf([&] { reader.Wait("key/0", Soon()); });
  EXPECT_EQ(failure.code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(failure.message, HasSubstr("thrown out"));
  EXPECT_THAT(failure.message, HasSubstr("wait for key/0"));
  EXPECT_THAT(failure.message, HasSubstr(server.place()));

  // What was thrown out before a store was opened is not its concern.
  MemcachedStore late(server.url("job"));
  EXPECT_FALSE(late.Wait("never", Deadline::After(milliseconds(1500))));
}

TEST_F(MemcachedFailureTest, AFullServerRefusesWritesAndSaysWhatToDo) {
  MemcachedServer server({"-M", "-m", "2"});
  MemcachedStore store(server.url("job"));
  const base::Bytes value(100'000);
  const Failure failure = FailureOf([&] {
    for (int i = 0; i < 1000; ++i) store.Put("key/" + std::to_string(i), value, Soon());
  });
  EXPECT_EQ(failure.code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(failure.message, HasSubstr("its memory is full"));
  EXPECT_EQ(store.counters().retries, 0U);
  // In the middle of a pipeline, too, and the store stays of use.
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back("more/" + std::to_string(i));
  std::vector<store::KeyValue> entries;
  for (const std::string& key : keys) entries.push_back({key, value});
  EXPECT_EQ(FailureOf([&] { store.PutAll(entries, Soon()); }).code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store.Get("key/0", Soon()));
}

TEST_F(MemcachedFailureTest, WorkGoesOnWhenTheServerIsRestartedUnderLoad) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  std::atomic<bool> done{false};
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      const std::string key = "key/" + std::to_string(thread);
      const base::Bytes value(200'000, static_cast<std::byte>(thread));
      try {
        while (!done) {
          store.Put(key, value, Soon());
          const auto read = store.Get(key, Soon());
          if (read && !std::ranges::equal(read->span(), value)) ++failures;
          ++rounds;
        }
      } catch (const base::Error& error) {
        ADD_FAILURE() << error.message();
      }
    });
  }
  for (int restart = 0; restart < 3; ++restart) {
    const int before = rounds;
    while (rounds < before + 30 && !HasFailure()) std::this_thread::sleep_for(milliseconds(1));
    server.process().Kill();
    std::this_thread::sleep_for(milliseconds(50));
    server.process().Start();
  }
  const int before = rounds;
  while (rounds < before + 30 && !HasFailure()) std::this_thread::sleep_for(milliseconds(1));
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(store.restarts(), 3U);
  EXPECT_GT(store.counters().retries, 0U);
}

TEST_F(MemcachedFailureTest, ALostConnectionIsNoRestart) {
  ScriptedMemcached server([count = 0](const std::string& command) mutable {
    if (!command.starts_with("gets")) return std::optional<Answer>();
    return std::optional<Answer>({"END\r\n", ++count % 2 == 0, false});
  });
  MemcachedStore store(server.url());
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(store.Get("key", Soon()));
  EXPECT_EQ(store.restarts(), 0U);
  EXPECT_GT(store.counters().retries, 0U);
}

TEST_F(MemcachedFailureTest, AVersionFromBeforeARestartIsWorthless) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  store.Put("key", AsBytes("before"), Soon());
  const auto seen = store.GetVersioned("key", Soon());
  server.process().Kill();
  server.process().Start();
  // The server numbers its items from the beginning again, so the numbers are equal.
  store.Put("key", AsBytes("after"), Soon());
  EXPECT_FALSE(store.CompareAndSwap("key", seen->version, AsBytes("swapped"), Soon()));
  EXPECT_EQ(store.Get("key", Soon())->text(), "after");
}

TEST_F(MemcachedFailureTest, AServerThatIsGoneIsNamed) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  server.process().Kill();
  const Failure failure = FailureOf([&] { store.Get("key", Deadline::After(milliseconds(500))); });
  EXPECT_EQ(failure.code, ErrorCode::kUnavailable);
  EXPECT_THAT(failure.message, StartsWith("get key in memcached://" + server.place() + "/job: "));
  EXPECT_THAT(failure.message, HasSubstr("refused"));
  EXPECT_EQ(FailureOf([&] { store.Wait("key", Deadline::After(milliseconds(500))); }).code,
            ErrorCode::kUnavailable);
  EXPECT_THAT(FailureOf([&] { MemcachedStore(server.url(), milliseconds(100)); }).message,
              StartsWith("open memcached://" + server.place()));
}

TEST_F(MemcachedFailureTest, AStoppedServerIsWaitedForNoLongerThanTheDeadline) {
  MemcachedServer server;
  MemcachedStore store(server.url("job"));
  store.Put("a", AsBytes("of a"), Soon());
  store.Put("b", AsBytes("of b"), Soon());
  server.process().Pause();
  const auto call = [&](const std::function<void(const Deadline&)>& ask) {
    const Failure failure = FailureOf([&] { ask(Deadline::After(milliseconds(200))); });
    EXPECT_THAT(failure.code, AnyOf(ErrorCode::kDeadlineExceeded, ErrorCode::kUnavailable));
    EXPECT_THAT(failure.message, HasSubstr(server.place()));
  };
  const base::Bytes large(900'000);
  const std::vector<std::string> keys = {"a"};
  call([&](const Deadline& deadline) { store.Get("a", deadline); });
  call([&](const Deadline& deadline) { store.Put("c", large, deadline); });
  call([&](const Deadline& deadline) { store.PutIfAbsent("c", large, deadline); });
  call([&](const Deadline& deadline) { store.GetVersioned("a", deadline); });
  call([&](const Deadline& deadline) { store.Delete(keys, deadline); });
  call([&](const Deadline& deadline) { store.List("", deadline); });
  call([&](const Deadline& deadline) { store.Wait("a", deadline); });
  server.process().Resume();
  // The late answers to all these questions are nobody's.
  EXPECT_EQ(store.Get("b", Soon())->text(), "of b");
}

TEST_F(MemcachedFailureTest, AServerThatDripsIsCutOffAtTheDeadline) {
  ScriptedMemcached server([](const std::string& command) -> std::optional<Answer> {
    if (!command.starts_with("gets")) return std::nullopt;
    return Answer{"VALUE key 0 100000 1\r\n" + std::string(100'000, 'x'), false, true};
  });
  MemcachedStore store(server.url());
  const Failure failure = FailureOf([&] { store.Get("key", Deadline::After(milliseconds(300))); });
  EXPECT_EQ(failure.code, ErrorCode::kDeadlineExceeded);
}

TEST_F(MemcachedFailureTest, AnswersThatAreNoneOfTheProtocolAreErrors) {
  const std::vector<std::string> answers = {
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "VALUE\r\n",
      "VALUE key\r\nEND\r\n",
      "VALUE other 0 1 1\r\nx\r\nEND\r\n",
      "VALUE key 0 -1 1\r\nx\r\nEND\r\n",
      "VALUE key 0 18446744073709551614 1\r\nx\r\nEND\r\n",
      "VALUE key 0 99999999999999999999 1\r\nx\r\nEND\r\n",
      "VALUE key 0 2000000000 1\r\nx\r\nEND\r\n",
      "VALUE key 0 1 x\r\nx\r\nEND\r\n",
      "VALUE key 0 1 1\r\nxyz\r\nEND\r\n",
      "VALUE key 0 1 1\r\nx\r\nVALUE key 0 1 1\r\nx\r\nEND\r\n",
      "\r\n",
      " END\r\n",
      "ENDE\r\n",
      "ERROR\r\n",
      "CLIENT_ERROR bad\r\n",
      std::string(100, '\0') + "\r\n",
  };
  for (const std::string& answer : answers) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (!command.starts_with("gets")) return std::nullopt;
      return Answer{answer};
    });
    MemcachedStore store(server.url());
    const Failure failure = FailureOf([&] { store.Get("key", Soon()); });
    EXPECT_EQ(failure.code, ErrorCode::kCorrupt) << answer;
    EXPECT_THAT(failure.message, HasSubstr("is it a Memcached server?")) << answer;
    EXPECT_TRUE(std::ranges::none_of(failure.message, [](char c) { return c >= 0 && c < ' '; }));
  }
}

TEST_F(MemcachedFailureTest, AnswersThatEndTooSoonOrNeverAreTriedAgainAndThenErrors) {
  const std::vector<Answer> answers = {{"VALUE key 0 10 1\r\nxyz", true, false},
                                       {"VALUE key 0 1 1\r\nx\r\n", true, false},
                                       {"VAL", true, false},
                                       {"", true, false},
                                       {std::string(100'000, 'V'), false, false},
                                       {"SERVER_ERROR out of order\r\n", false, false},
                                       {"ERROR Too many open connections\r\n", true, false}};
  for (const Answer& answer : answers) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (!command.starts_with("gets")) return std::nullopt;
      return answer;
    });
    MemcachedStore store(server.url());
    const Failure failure =
        FailureOf([&] { store.Get("key", Deadline::After(milliseconds(400))); });
    EXPECT_EQ(failure.code, ErrorCode::kUnavailable) << answer.text;
    EXPECT_GT(store.counters().retries, 0U);
  }
}

TEST_F(MemcachedFailureTest, WrongAnswersToWritesAreErrors) {
  for (const std::string answer :
       {"STORE\r\n", "DELETED\r\n", "END\r\n", "OK\r\n", "EXISTS \r\n"}) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (command.starts_with("gets")) return Answer{"VALUE key 0 1 9\r\nx\r\nEND\r\n"};
      for (const char* verb : {"set", "add", "cas", "delete"}) {
        if (command.starts_with(verb))
          return Answer{verb == std::string("delete") ? "x\r\n" : answer};
      }
      return std::nullopt;
    });
    MemcachedStore store(server.url());
    const std::vector<std::string> keys = {"key"};
    const auto seen = store.GetVersioned("key", Soon());
    const auto code = [](const std::function<void()>& call) { return FailureOf(call).code; };
    EXPECT_EQ(code([&] { store.Put("key", {}, Soon()); }), ErrorCode::kCorrupt);
    EXPECT_EQ(code([&] { store.PutIfAbsent("key", {}, Soon()); }), ErrorCode::kCorrupt);
    EXPECT_EQ(code([&] { store.CompareAndSwap("key", seen->version, {}, Soon()); }),
              ErrorCode::kCorrupt);
    EXPECT_EQ(code([&] { store.Delete(keys, Soon()); }), ErrorCode::kCorrupt);
  }
}

// The server carries the write out, and its answer is lost.
TEST_F(MemcachedFailureTest, WhoseAnswerWasLostMayFindItsOwnWriteAndIsToldFalse) {
  std::atomic<int> writes{0};
  ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
    if (command.starts_with("gets")) return Answer{"VALUE key 0 1 9\r\nx\r\nEND\r\n"};
    if (command.starts_with("add")) {
      return ++writes % 2 == 1 ? Answer{"", true} : Answer{"NOT_STORED\r\n"};
    }
    if (!command.starts_with("cas")) return std::nullopt;
    return ++writes % 2 == 1 ? Answer{"", true} : Answer{"EXISTS\r\n"};
  });
  MemcachedStore store(server.url());
  EXPECT_FALSE(store.PutIfAbsent("key", AsBytes("x"), Soon()));
  EXPECT_EQ(writes, 2);
  const auto seen = store.GetVersioned("key", Soon());
  EXPECT_FALSE(store.CompareAndSwap("key", seen->version, AsBytes("y"), Soon()));
  EXPECT_EQ(writes, 4);
  EXPECT_EQ(store.counters().put_requests, 4U);
  EXPECT_EQ(store.counters().retries, 2U);
}

TEST_F(MemcachedFailureTest, OneGarbledAnswerIsForgiven) {
  std::atomic<int> gets{0};
  ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
    if (!command.starts_with("gets")) return std::nullopt;
    return Answer{++gets == 1 ? "VALUE garbled\r\n" : "VALUE key 0 1 9\r\nx\r\nEND\r\n"};
  });
  MemcachedStore store(server.url());
  EXPECT_EQ(store.Get("key", Soon())->text(), "x");
}

TEST_F(MemcachedFailureTest, AServerWhoseStatisticsMakeNoSenseIsNotOpened) {
  for (const std::string stats :
       {"END\r\n", "STAT pid x\r\nEND\r\n", "STAT\r\nEND\r\n", "pid 1\r\nEND\r\n"}) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (command != "stats") return std::nullopt;
      return Answer{stats};
    });
    EXPECT_EQ(FailureOf([&] { MemcachedStore{server.url()}; }).code, ErrorCode::kCorrupt);
  }
  for (const std::string settings : {"END\r\n", "STAT item_size_max 512\r\nEND\r\n"}) {
    ScriptedMemcached server([&](const std::string& command) -> std::optional<Answer> {
      if (command != "stats settings") return std::nullopt;
      return Answer{settings};
    });
    EXPECT_THAT(FailureOf([&] { MemcachedStore{server.url()}; }).message,
                HasSubstr("item_size_max"));
  }
}

}  // namespace
}  // namespace lambdaml::test
