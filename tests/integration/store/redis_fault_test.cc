// The Redis store on a server that dies, returns, stops, or answers wrongly, late or not at all.
#include <algorithm>
#include <atomic>
#include <gmock/gmock.h>
#include <thread>

#include "lambdaml/store/redis_store.h"

#include "redis_testing.h"
#include "support/processes.h"
#include "support/servers/tcp_proxy.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using std::chrono::milliseconds;
using store::RedisStore;
using testing::AllOf;
using testing::HasSubstr;

// A store whose answers go through a proxy.
class RedisFault : public RedisTest {
 protected:
  void SetUp() override {
    RedisTest::SetUp();
    if (IsSkipped()) return;
    proxy_.emplace(RedisServer::Shared().port());
    store_ = std::make_unique<RedisStore>("redis://127.0.0.1:" + std::to_string(proxy_->port()) +
                                          "?prefix=" + FreshPrefix());
  }
  void TearDown() override {
    if (!store_) return;
    proxy_->OnReply({});
    proxy_->OnRequest({});
    store_->DeletePrefix("", Soon());
  }

  static std::string FreshPrefix() {
    const std::string url = RedisServer::Shared().FreshUrl();
    return url.substr(url.find('=') + 1);
  }

  // From now on the answer that `starts` with this text is lost once, with its connection.
  void LoseAnswer(const std::string& start) {
    lost_ = 0;
    proxy_->OnReply([this, start](std::string* bytes) {
      if (lost_ > 0 || !bytes->starts_with(start)) return true;
      ++lost_;
      bytes->clear();
      return false;
    });
  }

  // From now on each answer is this text, and then the connection ends.
  void AnswerAlways(const std::string& text) {
    proxy_->OnReply([text](std::string* bytes) {
      *bytes = text;
      return false;
    });
  }

  std::optional<TcpProxy> proxy_;
  std::unique_ptr<RedisStore> store_;
  std::atomic<int> lost_{0};
};

TEST_F(RedisFault, ACreationWhoseAnswerWasLostIsTheCreators) {
  LoseAnswer("+OK");
  EXPECT_TRUE(store_->PutIfAbsent("key", AsBytes("mine"), Soon()));
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(store_->Get("key", Soon())->text(), "mine");
  EXPECT_EQ(store_->counters().retries, 1U);
}

TEST_F(RedisFault, ACreationThatWasLostToAnotherStaysLost) {
  ASSERT_TRUE(store_->PutIfAbsent("key", AsBytes("other's"), Soon()));
  LoseAnswer("_");
  EXPECT_FALSE(store_->PutIfAbsent("key", AsBytes("mine"), Soon()));
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(store_->Get("key", Soon())->text(), "other's");
}

TEST_F(RedisFault, ASwapWhoseAnswerWasLostIsMadeOnce) {
  store_->Put("key", AsBytes("1"), Soon());
  const auto seen = store_->GetVersioned("key", Soon());
  LoseAnswer("+OK\r\n+QUEUED\r\n");
  EXPECT_TRUE(store_->CompareAndSwap("key", seen->version, AsBytes("2"), Soon()));
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(store_->Get("key", Soon())->text(), "2");
  EXPECT_FALSE(store_->CompareAndSwap("key", seen->version, AsBytes("3"), Soon()));
}

TEST_F(RedisFault, AReadOrWriteWhoseAnswerWasLostIsRepeated) {
  LoseAnswer("+OK");
  store_->Put("key", AsBytes("value"), Soon());
  EXPECT_EQ(lost_, 1);
  LoseAnswer("$");
  EXPECT_EQ(store_->Get("key", Soon())->text(), "value");
  EXPECT_EQ(lost_, 1);
  LoseAnswer(":");
  store_->Delete(std::vector<std::string>{"key"}, Soon());
  EXPECT_EQ(lost_, 1);
  EXPECT_FALSE(store_->Get("key", Soon()));
}

TEST_F(RedisFault, AWaitSurvivesTheLossOfItsConnectionAndOfItsWakeUp) {
  LoseAnswer(">");  // the push that says that the key is there
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(30));
    store_->Put("key", AsBytes("value"), Soon());
  });
  EXPECT_EQ(store_->Wait("key", Soon())->text(), "value");
  writer.join();
  EXPECT_EQ(lost_, 1);
}

TEST_F(RedisFault, ATruncatedValueIsNeverTakenForWhole) {
  const base::Bytes value(1'000'000, std::byte{7});
  store_->Put("key", value, Soon());
  std::atomic<int> cuts{0};
  proxy_->OnReply([&](std::string* bytes) {
    if (bytes->size() < 20'000 || ++cuts > 3) return true;
    bytes->resize(bytes->size() / 2);
    return false;
  });
  const auto read = store_->Get("key", Soon());
  EXPECT_TRUE(std::ranges::equal(read->span(), value));
  EXPECT_GE(cuts, 3);
  EXPECT_EQ(store_->counters().retries, 3U);
}

TEST_F(RedisFault, WhatIsNotTheProtocolIsAClearErrorByTheDeadline) {
  for (const char* text : {"HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x01 garbage\r\n",
                           "$12\r\nab", "*99999999\r\n", ":1\r\n:2\r\n", ""}) {
    AnswerAlways(text);
    const base::Error error = ErrorOf([&] {
      const Deadline deadline = Deadline::After(milliseconds(300));
      while (true) store_->Get("key", deadline);
    });
    EXPECT_THAT(error.code(), testing::AnyOf(ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded))
        << text;
    EXPECT_THAT(error.message(), AllOf(HasSubstr("get key"), HasSubstr("127.0.0.1:"))) << text;
  }
}

TEST_F(RedisFault, AServerThatSaysItIsLoadingIsGivenTime) {
  std::atomic<int> left{3};
  store_->Put("key", AsBytes("value"), Soon());
  proxy_->OnReply([&](std::string* bytes) {
    if (bytes->starts_with("$") && left-- > 0) *bytes = "-LOADING Redis is loading the dataset\r\n";
    return true;
  });
  EXPECT_EQ(store_->Get("key", Soon())->text(), "value");
  EXPECT_EQ(store_->counters().retries, 3U);
}

TEST_F(RedisTest, RedisRestartsUnderLoadAreSurvivedAndCounted) {
  RedisServer server;
  const std::string url = server.FreshUrl();
  std::atomic<bool> is_over{false};
  std::atomic<int> exchanges{0};
  RedisStore store(url);
  std::vector<std::thread> workers;
  for (int rank = 0; rank < 4; ++rank) {
    workers.emplace_back([&, rank] {
      for (int i = 0; !is_over; ++i) {
        const std::string key = "k" + std::to_string(rank) + "/" + std::to_string(i);
        store.Put(key, AsBytes(key), Soon());
        store.Get(key, Soon());  // gone if the server has started anew meanwhile
        ++exchanges;
      }
    });
  }
  for (int restart = 0; restart < 3; ++restart) {
    std::this_thread::sleep_for(milliseconds(200));
    server.process().Kill();
    std::this_thread::sleep_for(milliseconds(50));
    server.process().Start();
  }
  std::this_thread::sleep_for(milliseconds(200));
  is_over = true;
  for (std::thread& worker : workers) worker.join();
  store.Get("anything", Soon());
  EXPECT_EQ(store.restarts(), 3U);
  EXPECT_GT(store.counters().retries, 0U);
  EXPECT_GT(exchanges, 100);
}

TEST_F(RedisTest, RedisRestartsDuringAWaitAreSurvived) {
  RedisServer server;
  const std::string url = server.FreshUrl();
  RedisStore store(url);
  std::optional<base::Blob> value;
  std::thread waiter([&] { value = store.Wait("key", Soon()); });
  std::this_thread::sleep_for(milliseconds(100));
  server.process().Kill();
  std::this_thread::sleep_for(milliseconds(300));
  server.process().Start();
  std::this_thread::sleep_for(milliseconds(100));
  RedisStore(url).Put("key", AsBytes("value"), Soon());
  waiter.join();
  ASSERT_TRUE(value);
  EXPECT_EQ(value->text(), "value");
  EXPECT_EQ(store.restarts(), 1U);
}

TEST_F(RedisTest, APausedRedisIsWaitedForAndItsWriteIsNotLost) {
  RedisServer server;
  RedisStore store(server.FreshUrl());
  server.process().Pause();
  std::thread writer([&] { store.Put("key", AsBytes("value"), Soon()); });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  server.process().Resume();
  writer.join();
  EXPECT_EQ(store.Get("key", Soon())->text(), "value");
}

TEST_F(RedisTest, ADeadOrStoppedRedisIsNoticedLongBeforeAFarDeadline) {
  RedisServer server;
  RedisStore store(server.FreshUrl());
  RedisStore waiting(server.FreshUrl());
  const Deadline far = Deadline::After(std::chrono::minutes(10));
  server.process().Pause();
  RunInThreads(2, [&](int which) {
    const base::Error error = ErrorOf([&] {
      if (which == 0) store.Put("key", AsBytes("value"), far);
      if (which == 1) waiting.Wait("key", far);
    });
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << error.message();
    EXPECT_THAT(error.message(),
                AllOf(HasSubstr("key"), HasSubstr(server.place()), HasSubstr("no answer for 5 s")));
  });
  EXPECT_GT(far.Remaining(), std::chrono::minutes(8));
  server.process().Resume();
}

TEST_F(RedisTest, OpeningWhereNobodyListensSaysSo) {
  const int port = FreePort();
  const base::Error error =
      ErrorOf([&] { RedisStore("redis://127.0.0.1:" + std::to_string(port), milliseconds(100)); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.message(),
              AllOf(HasSubstr("127.0.0.1:" + std::to_string(port)), HasSubstr("refused")));
}

}  // namespace
}  // namespace lambdaml::test
