#include "lambdaml/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/random.h"

namespace lambdaml::base {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {
 protected:
  ThreadPool pool_{GetParam()};
};

TEST_P(ThreadPoolTest, EveryBlockIsDoneOnce) {
  for (const size_t block_count : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> calls(block_count);
    pool_.ForEachBlock(block_count, [&](size_t block) { ++calls[block]; });
    for (size_t block = 0; block < block_count; ++block) {
      ASSERT_EQ(calls[block], 1) << block << " of " << block_count;
    }
  }
}

TEST_P(ThreadPoolTest, AllBlocksAreDoneWhenTheCallReturns) {
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> results(4, 0);  // plain: the thread sanitizer watches
    pool_.ForEachBlock(4, [&](size_t block) { results[block] = round; });
    ASSERT_EQ(results, std::vector<int>(4, round));
  }
}

TEST_P(ThreadPoolTest, ASumInBlockOrderDoesNotDependOnTheThreads) {
  Random random(1);
  std::vector<float> values(10'000);
  for (float& value : values) value = static_cast<float>(random.Normal());
  const auto sum = [&](ThreadPool& pool) {
    constexpr size_t kBlock = 64;
    std::vector<float> partial((values.size() + kBlock - 1) / kBlock);
    pool.ForEachBlock(partial.size(), [&](size_t block) {
      const size_t end = std::min(values.size(), (block + 1) * kBlock);
      for (size_t i = block * kBlock; i < end; ++i) partial[block] += values[i];
    });
    float total = 0;
    for (const float part : partial) total += part;
    return total;
  };
  ThreadPool alone(1);
  EXPECT_EQ(sum(pool_), sum(alone));
}

TEST_P(ThreadPoolTest, AnExceptionReachesTheCallerAndThePoolLivesOn) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> running{0};
    try {
      pool_.ForEachBlock(50, [&](size_t block) {
        ++running;
        if (block == 20) {
          --running;
          throw std::runtime_error("block 20");
        }
        --running;
      });
      FAIL() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "block 20");
    }
    EXPECT_EQ(running, 0);
    std::atomic<size_t> sum{0};
    pool_.ForEachBlock(10, [&](size_t block) { sum += block; });
    EXPECT_EQ(sum, 45U);
  }
}

TEST_P(ThreadPoolTest, NoBlockIsBegunAfterAFailure) {
  std::atomic<int> begun{0};
  try {
    pool_.ForEachBlock(1'000'000, [&](size_t) {
      ++begun;
      throw std::runtime_error("every block fails");
    });
    FAIL() << "no exception";
  } catch (const std::runtime_error&) {
    EXPECT_LE(begun, GetParam());
  }
}

TEST_P(ThreadPoolTest, UsesNoMoreThreadsThanAsked) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  pool_.ForEachBlock(1000, [&](size_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_LE(ids.size(), static_cast<size_t>(GetParam()));
  EXPECT_EQ(pool_.thread_count(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(ThreadCounts, ThreadPoolTest, ::testing::Values(1, 2, 3, 8),
                         [](const auto& param) { return std::to_string(param.param); });

TEST(ThreadPoolWithoutWorkTest, ComesAndGoes) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPoolWithOneThreadTest, WorksOnTheCallersThreadInOrder) {
  ThreadPool pool(1);
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<size_t> order;
  pool.ForEachBlock(5, [&](size_t block) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    order.push_back(block);
  });
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace lambdaml::base
