// What a round asks of the store, against the formulas of docs/collectives.md, and what it leaves.
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/make_communicator.h"

#include "support/processes.h"
#include "support/store_backend.h"

namespace lambdaml::comm {
namespace {

struct Totals {
  std::vector<store::Counters> by_rank;
  std::vector<std::string> keys_left;
};

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

Totals CountersOf(const test::StoreBackend& backend, Pattern pattern, int worker_count, int rounds,
                  size_t length) {
  const auto place = backend.make_place();
  Totals totals;
  totals.by_rank.resize(static_cast<size_t>(worker_count));
  test::RunInThreads(worker_count, [&](int rank) {
    const auto store = place->Open();
    const Membership membership = {.job = "job", .rank = rank, .worker_count = worker_count};
    const auto communicator = MakeCommunicator(pattern, *store, membership);
    std::vector<double> scalars(2, 1.0);
    std::vector<float> vector(length, 1.0F);
    for (int round = 0; round < rounds; ++round) communicator->AllReduceSum(scalars, vector);
    totals.by_rank[static_cast<size_t>(rank)] = store->counters();
  });
  const auto store = place->Open();
  totals.keys_left = store->List("", Soon());
  DeleteJob(*store, "job", Soon());
  EXPECT_TRUE(store->List("", Soon()).empty());
  return totals;
}

// Keys are deleted once a rank has at least 25 of them that nobody reads any more.
uint64_t KeysDeleted(uint64_t rounds_read, uint64_t keys_per_round) {
  const uint64_t rounds_per_delete = (25 + keys_per_round - 1) / keys_per_round;
  return rounds_read / rounds_per_delete * rounds_per_delete * keys_per_round;
}

TEST(RequestsTest, ReduceAsksAsOftenAsItsFormulaSays) {
  for (const auto& backend : {test::MemoryBackend(), test::FileBackend()}) {
    for (const uint64_t workers : {2U, 3U, 4U, 7U}) {
      constexpr uint64_t kRounds = 60;
      const auto totals =
          CountersOf(backend, Pattern::kReduce, static_cast<int>(workers), kRounds, 100);
      for (uint64_t rank = 0; rank < workers; ++rank) {
        const store::Counters& counters = totals.by_rank[rank];
        EXPECT_EQ(counters.get_requests, kRounds * (rank == 0 ? workers - 1 : 1));
        EXPECT_EQ(counters.put_requests, kRounds);
        EXPECT_EQ(counters.delete_requests, KeysDeleted(kRounds - 2, 1));
        EXPECT_EQ(counters.list_requests, 0U);
        const uint64_t message_bytes = 64 + 64 + 400;  // header, scalars with padding, vector
        EXPECT_EQ(counters.bytes_written, kRounds * message_bytes);
        EXPECT_EQ(counters.bytes_read, counters.get_requests * message_bytes);
      }
      EXPECT_EQ(totals.keys_left.size(), workers * (kRounds - KeysDeleted(kRounds - 2, 1)));
    }
  }
}

TEST(RequestsTest, ReduceScatterAsksAsOftenAsItsFormulaSays) {
  for (const auto& backend : {test::MemoryBackend(), test::FileBackend()}) {
    for (const uint64_t workers : {2U, 3U, 4U, 7U}) {
      constexpr uint64_t kRounds = 20;
      const auto totals =
          CountersOf(backend, Pattern::kReduceScatter, static_cast<int>(workers), kRounds, 100);
      const uint64_t keys_deleted = KeysDeleted(kRounds - 1, workers);
      for (const store::Counters& counters : totals.by_rank) {
        EXPECT_EQ(counters.get_requests, kRounds * 2 * (workers - 1));
        EXPECT_EQ(counters.put_requests, kRounds * workers);
        EXPECT_EQ(counters.delete_requests, keys_deleted);
        EXPECT_EQ(counters.list_requests, 0U);
      }
      EXPECT_EQ(totals.keys_left.size(), workers * (kRounds * workers - keys_deleted));
    }
  }
}

TEST(RequestsTest, LongMessagesAreDeletedInEachRound) {
  const auto totals = CountersOf(test::MemoryBackend(), Pattern::kReduce, 2, 5, 1 << 18);
  EXPECT_EQ(totals.by_rank[0].delete_requests, 3U);
  EXPECT_EQ(totals.keys_left.size(), 2 * 2U);  // the last two rounds
}

TEST(RequestsTest, OneWorkerAsksForNothing) {
  for (const Pattern pattern : {Pattern::kReduce, Pattern::kReduceScatter}) {
    const auto totals = CountersOf(test::MemoryBackend(), pattern, 1, 3, 100);
    const store::Counters& counters = totals.by_rank[0];
    EXPECT_EQ(counters.get_requests + counters.put_requests + counters.delete_requests, 0U);
    EXPECT_TRUE(totals.keys_left.empty());
  }
}

TEST(RequestsTest, LongMessagesTakeOneRequestForEachSegment) {
  // 10,000 elements and 2 scalars: 40,128 bytes in segments of 4,096.
  constexpr uint64_t kSegments = 10;
  const auto totals = CountersOf(test::SmallValuesBackend(), Pattern::kReduce, 3, 1, 10'000);
  EXPECT_EQ(totals.by_rank[0].get_requests, 2 * kSegments);
  EXPECT_EQ(totals.by_rank[0].put_requests, kSegments);
  EXPECT_EQ(totals.by_rank[1].get_requests, kSegments);
  EXPECT_EQ(totals.by_rank[1].put_requests, kSegments);
  EXPECT_EQ(totals.keys_left.size(), 3 * kSegments);
}

TEST(RequestsTest, DeletingAJobLeavesOthersAlone) {
  const auto place = test::FileBackend().make_place();
  const auto store = place->Open();
  store->Put("job/all/1.0", {}, Soon());
  store->Put("job2/all/1.0", {}, Soon());
  DeleteJob(*store, "job", Soon());
  DeleteJob(*store, "never", Soon());
  EXPECT_EQ(store->List("", Soon()), std::vector<std::string>{"job2/all/1.0"});
}

}  // namespace
}  // namespace lambdaml::comm
