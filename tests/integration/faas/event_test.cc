// Asynchronous invocations: accepted at once, repeated when they fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/clock.h"

#include "tests/integration/faas/platform_fixture.h"

namespace lambdaml::faas {
namespace {

class EventTest : public PlatformTest {
 protected:
  void Create(std::vector<base::Duration> delays, int concurrency_max = 1000) {
    FunctionConfig config = Config();
    config.event_retry_delays = std::move(delays);
    config.concurrency_max = concurrency_max;
    platform_->CreateFunction(config);
    invoker_ = MakeHttpInvoker(platform_->endpoint());
  }

  void Send(const std::string& payload) { invoker_->InvokeAsync("worker", payload, Soon()); }

  std::vector<InvocationRecord> WaitForRecords(size_t count) {
    const base::Deadline deadline = Soon();
    std::vector<InvocationRecord> records;
    while (records.size() < count && !deadline.Expired()) {
      for (InvocationRecord& record : platform_->TakeRecords()) {
        records.push_back(std::move(record));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return records;
  }
};

constexpr std::chrono::milliseconds kShort{20};

TEST_F(EventTest, AnEventRunsOnce) {
  Create({kShort, kShort});
  Send(R"({"do":"echo"})");
  const auto records = WaitForRecords(1);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].error_type, "");
  EXPECT_EQ(records[0].attempt, 1);
  std::this_thread::sleep_for(5 * kShort);
  EXPECT_TRUE(platform_->TakeRecords().empty());
}

TEST_F(EventTest, AFailedEventIsRepeatedUntilItSucceeds) {
  Create({kShort, kShort});
  Send(R"({"do":"fail_first","failures":1,"file":")" + folder() + R"(/count"})");
  const auto records = WaitForRecords(2);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].error_type, "Internal");
  EXPECT_EQ(records[1].error_type, "");
  EXPECT_EQ(records[1].attempt, 2);
  EXPECT_EQ(records[0].request_id, records[1].request_id);
}

TEST_F(EventTest, AnEventThatKeepsFailingIsTriedThreeTimesAndNoMore) {
  Create({kShort, kShort});
  Send(R"({"do":"exit","status":1})");
  const auto records = WaitForRecords(3);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[2].attempt, 3);
  std::this_thread::sleep_for(5 * kShort);
  EXPECT_TRUE(platform_->TakeRecords().empty());
}

TEST_F(EventTest, WithoutDelaysNothingIsRepeated) {
  Create({});
  Send(R"({"do":"exit","status":1})");
  EXPECT_EQ(WaitForRecords(1).size(), 1U);
  std::this_thread::sleep_for(5 * kShort);
  EXPECT_TRUE(platform_->TakeRecords().empty());
}

TEST_F(EventTest, TheDelaysAreLambdasUnlessGiven) {
  EXPECT_THAT(FunctionConfig().event_retry_delays,
              ::testing::ElementsAre(std::chrono::minutes(1), std::chrono::minutes(2)));
}

TEST_F(EventTest, EventsAboveTheConcurrencyLimitWaitTheirTurn) {
  Create({}, /*concurrency_max=*/2);
  for (int i = 0; i < 6; ++i) Send(R"({"do":"sleep","ms":50})");
  const auto records = WaitForRecords(6);
  ASSERT_EQ(records.size(), 6U);
  int cold_count = 0;
  for (const InvocationRecord& record : records) cold_count += record.cold_start ? 1 : 0;
  EXPECT_EQ(cold_count, 2);
}

}  // namespace
}  // namespace lambdaml::faas
