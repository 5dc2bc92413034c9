#include "lambdaml/train/gradient_exchange.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <numeric>

#include "lambdaml/base/error.h"

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

nn::StateLayout LayoutOf(const std::vector<size_t>& sizes) {
  nn::StateLayout layout;
  for (const size_t size : sizes) {
    nn::TensorInfo tensor;
    tensor.offset = layout.parameter_count;
    tensor.size = size;
    layout.parameters.push_back(tensor);
    layout.parameter_count += size;
  }
  return layout;
}

TEST(BucketBegins, AreBoundsOfTensorsFromTheBack) {
  EXPECT_THAT(BucketBegins(LayoutOf({5, 1, 2, 3, 4}), 4), ElementsAre(11, 6, 0));
  EXPECT_THAT(BucketBegins(LayoutOf({5, 1, 2, 3, 4}), 1), ElementsAre(11, 8, 6, 5, 0));
  EXPECT_THAT(BucketBegins(LayoutOf({5, 1, 2, 3, 4}), 100), ElementsAre(0));
  EXPECT_THAT(BucketBegins(LayoutOf({7}), 4), ElementsAre(0));
}

TEST(BucketBegins, CoverEveryNetwork) {
  for (const nn::Architecture architecture :
       {nn::Architecture::kMobileNet, nn::Architecture::kResNet18, nn::Architecture::kResNet50}) {
    const nn::StateLayout layout = nn::DescribeState(architecture, 10);
    const std::vector<size_t> begins = BucketBegins(layout, size_t{1} << 20);
    EXPECT_GT(begins.size(), 1U);
    EXPECT_TRUE(std::ranges::is_sorted(begins, std::greater()));
    EXPECT_EQ(begins.back(), 0U);
  }
}

// The element i of what a rank contributes in a step.
float TermOf(int rank, size_t step, size_t i) {
  return static_cast<float>((rank + 1) * static_cast<int>(i % 97) + static_cast<int>(step));
}

TEST(GradientExchange, GivesEveryRankTheWeightedSumHoweverItBecomesReady) {
  constexpr size_t kSize = 1000;
  for (const int worker_count : {1, 2, 3}) {
    ForEachRank(worker_count, [&](store::Store& store, const comm::Membership& membership) {
      const auto communicator =
          comm::MakeCommunicator(comm::Pattern::kReduceScatter, store, membership);
      GradientExchange exchange(*communicator, {900, 500, 10, 0});
      std::vector<float> gradient(kSize);
      const float weight = 1.0F / static_cast<float>(worker_count);
      for (size_t step = 0; step < 5; ++step) {
        for (size_t i = 0; i < kSize; ++i) gradient[i] = TermOf(membership.rank, step, i);
        std::array<double, 1> scalars = {static_cast<double>(step)};
        exchange.Begin(gradient, weight, scalars);
        const std::vector<std::vector<size_t>> ways = {{0}, {950, 500, 499, 0}, {900, 10, 5, 0}};
        for (const size_t offset : ways[(step + static_cast<size_t>(membership.rank)) % 3]) {
          exchange.OnReady(offset);
        }
        exchange.Finish();
        EXPECT_EQ(scalars[0], static_cast<double>(step) * worker_count);
        for (size_t i = 0; i < kSize; i += 37) {
          double sum = 0;
          for (int rank = 0; rank < worker_count; ++rank) {
            sum += double{weight * TermOf(rank, step, i)};
          }
          ASSERT_EQ(gradient[i], static_cast<float>(sum)) << i;
        }
      }
    });
  }
}

TEST(GradientExchange, HalvesAreSummedAsHalves) {
  ForEachRank(2, [&](store::Store& store, const comm::Membership& membership) {
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    GradientExchange exchange(*communicator, {50, 0}, wire::Precision::kFloat16);
    std::vector<float> gradient(100, membership.rank == 0 ? 2049.0F : 1.0F);
    exchange.Begin(gradient, 1, {});
    exchange.OnReady(0);
    exchange.Finish();
    EXPECT_THAT(gradient, testing::Each(2048.0F));  // 2048 + 1 has no float16
  });
}

TEST(GradientExchange, WhatIsNotReadyDoesNotTravel) {
  ForEachRank(2, [&](store::Store& store, const comm::Membership& membership) {
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    GradientExchange exchange(*communicator, {50, 0});
    std::vector<float> gradient(100, 1);
    exchange.Begin(gradient, 1, {});
    exchange.OnReady(60);
    // The caller still writes below 60 when the exchange has seen that 60 is ready.
    std::ranges::fill(std::span(gradient).first(60), 7.0F);
    exchange.OnReady(0);
    exchange.Finish();
    EXPECT_EQ(gradient[0], 14);
    EXPECT_EQ(gradient[55], 14);
    EXPECT_EQ(gradient[99], 2);
  });
}

TEST(GradientExchange, AFailedRoundIsToldWhereItIsWaitedFor) {
  store::MemoryStore store;
  const comm::Membership membership = {
      .job = "job", .rank = 0, .worker_count = 2, .round_timeout = std::chrono::milliseconds(50)};
  const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
  GradientExchange exchange(*communicator, {50, 0});
  std::vector<float> gradient(100, 1);
  exchange.Begin(gradient, 1, {});
  exchange.OnReady(0);
  try {
    exchange.Finish();
    FAIL() << "rank 1 is missing";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(error.message(), HasSubstr("rank 1"));
  }
}

TEST(GradientExchange, MayBeAbandonedInTheMiddleOfAStep) {
  store::MemoryStore store;
  const comm::Membership membership = {
      .job = "job", .rank = 0, .worker_count = 2, .round_timeout = std::chrono::milliseconds(50)};
  const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
  std::vector<float> gradient(100, 1);
  for (const size_t ready : {size_t{100}, size_t{40}}) {
    GradientExchange exchange(*communicator, {50, 0});
    exchange.Begin(gradient, 1, {});
    exchange.OnReady(ready);
  }
}

}  // namespace
}  // namespace lambdaml::train
