#include "lambdaml/train/exchange.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {
namespace {

// Every member of its own, so that none can be taken for another.
EpochSums SumsOf(int rank) {
  const double r = rank;
  return {.train = {.loss_sum = 1.5 + r, .correct = 2 + rank, .rows = 30 + rank},
          .valid = {.loss_sum = 0.25 * r, .correct = 100, .rows = 500 + rank},
          .seconds = 7 + r,
          .communicating_s = 0.5,
          .primal_residual_sq = 4,
          .local_norm_sq = 11 * r,
          .dual_norm_sq = 13};
}

TEST(Exchange, AttachedSumsTravelWithTheNextRoundAndCostNone) {
  for (const auto pattern : {comm::Pattern::kReduce, comm::Pattern::kReduceScatter}) {
    ForEachRank(3, [&](store::Store& store, const comm::Membership& membership) {
      const auto communicator = comm::MakeCommunicator(pattern, store, membership);
      Exchange exchange(*communicator);
      exchange.Attach(SumsOf(membership.rank));
      EXPECT_FALSE(exchange.TakeSums().has_value());
      std::array<double, 2> scalars = {1, static_cast<double>(membership.rank)};
      std::vector<float> vector = {2, 3};
      exchange.Sum(scalars, vector);
      EXPECT_EQ(scalars, (std::array<double, 2>{3, 3}));
      EXPECT_EQ(vector, (std::vector<float>{6, 9}));
      const std::optional<EpochSums> sums = exchange.TakeSums();
      ASSERT_TRUE(sums.has_value());
      EXPECT_EQ(sums->train.loss_sum, 7.5);
      EXPECT_EQ(sums->train.correct, 9);
      EXPECT_EQ(sums->train.rows, 93);
      EXPECT_EQ(sums->valid.loss_sum, 0.75);
      EXPECT_EQ(sums->valid.correct, 300);
      EXPECT_EQ(sums->valid.rows, 1503);
      EXPECT_EQ(sums->seconds, 24);
      EXPECT_EQ(sums->communicating_s, 1.5);
      EXPECT_EQ(sums->primal_residual_sq, 12);
      EXPECT_EQ(sums->local_norm_sq, 33);
      EXPECT_EQ(sums->dual_norm_sq, 39);
      EXPECT_EQ(communicator->stats().rounds, 1U);
    });
  }
}

TEST(Exchange, SumsAreTakenOnceAndDoNotTravelAgain) {
  ForEachRank(2, [](store::Store& store, const comm::Membership& membership) {
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    Exchange exchange(*communicator);
    exchange.Attach(SumsOf(0));
    exchange.Flush();
    EXPECT_TRUE(exchange.TakeSums().has_value());
    EXPECT_FALSE(exchange.TakeSums().has_value());
    std::array<double, 1> count = {1};
    exchange.Sum(count, {});
    EXPECT_EQ(count[0], 2);
    EXPECT_FALSE(exchange.TakeSums().has_value());
  });
}

TEST(Exchange, SumsOfSeveralEpochsComeInTheirOrder) {
  ForEachRank(2, [](store::Store& store, const comm::Membership& membership) {
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    Exchange exchange(*communicator);
    for (double epoch = 1; epoch <= 5; ++epoch) {
      exchange.Attach({.seconds = epoch});
      std::vector<float> vector(3, 1.0F);
      exchange.Sum({}, vector);
      EXPECT_EQ(vector, std::vector<float>(3, 2.0F));
      EXPECT_EQ(exchange.TakeSums().value().seconds, 2 * epoch);
    }
    EXPECT_EQ(communicator->stats().rounds, 5U);
  });
}

TEST(Exchange, FlushTakesARoundOnlyIfSomethingIsAttached) {
  ForEachRank(2, [](store::Store& store, const comm::Membership& membership) {
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    Exchange exchange(*communicator);
    exchange.Flush();
    EXPECT_EQ(communicator->stats().rounds, 0U);
    exchange.Attach({.seconds = 1});
    exchange.Flush();
    EXPECT_EQ(communicator->stats().rounds, 1U);
    EXPECT_EQ(exchange.TakeSums().value().seconds, 2);
  });
}

TEST(Exchange, ARoundOfNothingIsABarrier) {
  std::atomic<int> arrived{0};
  ForEachRank(4, [&](store::Store& store, const comm::Membership& membership) {
    const auto communicator =
        comm::MakeCommunicator(comm::Pattern::kReduceScatter, store, membership);
    Exchange exchange(*communicator);
    ++arrived;
    exchange.Sum({}, {});
    EXPECT_EQ(arrived, 4);
  });
}

TEST(ExchangeDeathTest, AttachingTwiceWithoutARoundIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  store::MemoryStore store;
  const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, {.job = "job"});
  Exchange exchange(*communicator);
  exchange.Attach({});
  EXPECT_DEATH(exchange.Attach({}), "check failed");
}

}  // namespace
}  // namespace lambdaml::train
