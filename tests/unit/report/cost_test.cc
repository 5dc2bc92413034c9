#include "lambdaml/report/cost.h"

#include <array>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::report {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

Prices RoundPrices() {
  Prices prices;
  prices.as_of = "2001-02-03";
  prices.region = "here";
  prices.lambda = {.x86_64_dollars_per_gb_second = 2,
                   .arm64_dollars_per_gb_second = 1,
                   .dollars_per_million_requests = 1e6};
  prices.services["s3"] = {.dollars_per_million_puts = 5e6,
                           .dollars_per_million_gets = 4e6,
                           .dollars_per_million_lists = 3e6,
                           .dollars_per_million_deletes = 2e6,
                           .dollars_per_gb_read = 100,
                           .dollars_per_gb_written = 1000};
  prices.services["file"] = {};
  return prices;
}

TEST(CostTest, BilledTimeIsRoundedUpToTheMillisecond) {
  EXPECT_EQ(BilledMs(nanoseconds(0)), 0);
  EXPECT_EQ(BilledMs(nanoseconds(1)), 1);
  EXPECT_EQ(BilledMs(milliseconds(27)), 27);
  EXPECT_EQ(BilledMs(microseconds(27'400)), 28);  // the example of the AWS announcement: 27.40 ms
}

TEST(CostTest, GbSecondsAreMemoryTimesBilledTime) {
  EXPECT_EQ(GbSeconds({}), 0);
  const std::array<Invocation, 2> invocations = {
      {{.memory_mb = 1024, .billed_ms = 1000}, {.memory_mb = 512, .billed_ms = 500}}};
  EXPECT_DOUBLE_EQ(GbSeconds(invocations), 1.25);
}

TEST(CostTest, LambdaIsTimeAndRequestsByArchitecture) {
  const std::array<Invocation, 2> invocations = {
      {{.memory_mb = 1024, .billed_ms = 1000}, {.memory_mb = 1024, .billed_ms = 500}}};
  const auto x86 = CostOf(RoundPrices(), Architecture::kX86, invocations, {});
  const auto arm = CostOf(RoundPrices(), Architecture::kArm, invocations, {});
  ASSERT_EQ(x86.size(), 1U);
  EXPECT_EQ(x86[0].service, "lambda");
  EXPECT_DOUBLE_EQ(x86[0].dollars, 1.5 * 2 + 2);
  EXPECT_DOUBLE_EQ(arm.at(0).dollars, 1.5 * 1 + 2);
}

TEST(CostTest, EachRequestAndByteOfAServiceHasItsPrice) {
  const auto dollars = [](ServiceUse use) {
    use.service = "s3";
    const std::array<ServiceUse, 1> uses = {use};
    return CostOf(RoundPrices(), Architecture::kX86, {}, uses).at(1).dollars;
  };
  EXPECT_DOUBLE_EQ(dollars({.put_requests = 1}), 5);
  EXPECT_DOUBLE_EQ(dollars({.get_requests = 1}), 4);
  EXPECT_DOUBLE_EQ(dollars({.list_requests = 1}), 3);
  EXPECT_DOUBLE_EQ(dollars({.delete_requests = 1}), 2);
  EXPECT_DOUBLE_EQ(dollars({.bytes_read = 1U << 30}), 100);
  EXPECT_DOUBLE_EQ(dollars({.bytes_written = 1U << 30}), 1000);
  EXPECT_DOUBLE_EQ(dollars({.get_requests = 2, .put_requests = 3}), 23);
}

// The published example of 60 million invocations of 28 ms with 1 GB: about $28 for the time and
// $12 for the requests.
TEST(CostTest, TheEmbeddedPricesGiveThePublishedExample) {
  const std::vector<Invocation> invocations(60'000, {.memory_mb = 1024, .billed_ms = 28});
  const auto cost = CostOf(Prices::Embedded(), Architecture::kX86, invocations, {});
  EXPECT_NEAR(cost.at(0).dollars * 1000, 28.0 + 12.0, 0.01);
}

// 100 workers that poll a key ten times a second for an hour: 3.6 million reads.
TEST(CostTest, PollingOnS3CostsWhatItCosts) {
  const std::array<ServiceUse, 1> uses = {{{.service = "s3", .get_requests = 3'600'000}}};
  const auto cost = CostOf(Prices::Embedded(), Architecture::kX86, {}, uses);
  EXPECT_NEAR(TotalDollars(cost), 1.44, 1e-9);
}

TEST(CostTest, AFolderIsFree) {
  const std::array<ServiceUse, 1> uses = {{{.service = "file", .get_requests = 1'000'000}}};
  const auto cost = CostOf(Prices::Embedded(), Architecture::kX86, {}, uses);
  EXPECT_EQ(TotalDollars(cost), 0);
}

TEST(CostTest, AServiceWithoutPricesIsNamed) {
  const std::array<ServiceUse, 1> uses = {{{.service = "abacus"}}};
  try {
    CostOf(RoundPrices(), Architecture::kX86, {}, uses);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.message(),
              "the price file of 2001-02-03 (here) has no prices for the service abacus");
  }
}

}  // namespace
}  // namespace lambdaml::report
