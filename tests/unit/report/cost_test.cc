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
  prices.services["dynamodb"] = {.dollars_per_million_read_units = 2e6,
                                 .dollars_per_million_write_units = 7e6};
  prices.cache_node_dollars_per_hour = {{"cache.small", 3600}, {"cache.large", 7200}};
  prices.vm_dollars_per_hour = {{"vm.large", 1800}};
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

// Four workers exchange 1,000 vectors of 400 KB each: 400 units a write, 100 a read.
TEST(CostTest, UnitsOfDynamoDbHaveTheirPrices) {
  const std::array<ServiceUse, 1> one = {
      {{.service = "dynamodb", .get_requests = 50, .read_units = 3, .write_units = 5}}};
  EXPECT_DOUBLE_EQ(CostOf(RoundPrices(), Architecture::kX86, {}, one).at(1).dollars, 3 * 2 + 5 * 7);
  const std::array<ServiceUse, 1> run = {
      {{.service = "dynamodb", .read_units = 400'000, .write_units = 1'600'000}}};
  EXPECT_NEAR(TotalDollars(CostOf(Prices::Embedded(), Architecture::kX86, {}, run)), 1.05, 1e-9);
}

TEST(CostTest, ACacheCostsItsNodesForTheTimeOfTheRun) {
  for (const char* service : {"memcached", "redis"}) {
    const std::array<ServiceUse, 1> uses = {{{.service = service, .get_requests = 1'000'000}}};
    const CacheNodes nodes = {.type = "cache.large", .count = 3, .seconds = 0.5};
    const auto cost = CostOf(RoundPrices(), Architecture::kX86, {}, uses, nodes);
    EXPECT_DOUBLE_EQ(cost.at(1).dollars, 2 * 3 * 0.5);
    EXPECT_TRUE(cost.at(1).is_counted);
  }
  const std::array<ServiceUse, 1> other = {{{.service = "file"}}};
  const CacheNodes nodes = {.type = "cache.large", .count = 3, .seconds = 0.5};
  EXPECT_EQ(TotalDollars(CostOf(RoundPrices(), Architecture::kX86, {}, other, nodes)), 0);
}

TEST(CostTest, AParameterServerCostsItsVirtualMachine) {
  const std::array<ServiceUse, 1> uses = {{{.service = "ps", .get_requests = 1'000'000}}};
  const CacheNodes nodes = {.type = "vm.large", .count = 1, .seconds = 4};
  EXPECT_DOUBLE_EQ(CostOf(RoundPrices(), Architecture::kX86, {}, uses, nodes).at(1).dollars, 2);
  EXPECT_FALSE(CostOf(RoundPrices(), Architecture::kX86, {}, uses).at(1).is_counted);
  EXPECT_THROW(CostOf(RoundPrices(), Architecture::kX86, {}, uses, CacheNodes{"cache.large", 1, 1}),
               base::Error);
}

TEST(CostTest, ACacheWhoseNodesAreNotKnownIsNotCounted) {
  const std::array<ServiceUse, 1> uses = {{{.service = "redis", .get_requests = 1}}};
  const auto cost = CostOf(RoundPrices(), Architecture::kX86, {}, uses);
  EXPECT_EQ(cost.at(1), (CostItem{.service = "redis", .dollars = 0, .is_counted = false}));
}

TEST(CostTest, ANodeWithoutAPriceIsNamedWithThoseThatHaveOne) {
  try {
    RoundPrices().CacheNodeDollarsPerHour("cache.huge");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.message(),
              "the price file of 2001-02-03 (here) has no price for cache nodes of type "
              "cache.huge; it knows cache.large, cache.small");
  }
}

TEST(CostTest, UsesOfOneServiceAddUp) {
  ServiceUse sum = {.service = "s3", .get_requests = 1, .waiting_seconds = 0.5};
  sum += {.service = "s3",
          .get_requests = 1,
          .put_requests = 2,
          .list_requests = 3,
          .delete_requests = 4,
          .bytes_read = 5,
          .bytes_written = 6,
          .retries = 7,
          .read_units = 8,
          .write_units = 9,
          .waiting_seconds = 0.25};
  EXPECT_EQ(sum, (ServiceUse{.service = "s3",
                             .get_requests = 2,
                             .put_requests = 2,
                             .list_requests = 3,
                             .delete_requests = 4,
                             .bytes_read = 5,
                             .bytes_written = 6,
                             .retries = 7,
                             .read_units = 8,
                             .write_units = 9,
                             .waiting_seconds = 0.75}));
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
