#include "lambdaml/ps/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/ps/gathered.h"
#include "lambdaml/ps/job_table.h"
#include "lambdaml/wire/rank_order_sum.h"

#include "support/expect_error.h"
#include "unit/ps/ps_testing.h"

namespace lambdaml::ps {
namespace {

using test::ExpectError;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kMemoryBytes = 64U << 20;

class JobTest : public ::testing::Test {
 protected:
  JobTable& Table() {
    if (!table_) table_.emplace(JobTableOptions{.folder = folder_}, budget_);
    return *table_;
  }
  std::shared_ptr<Job> Open(int worker_count, bool keeps_rounds = false) {
    Table().Open({.job = "job", .worker_count = worker_count, .keeps_rounds = keeps_rounds});
    return Table().Find("job");
  }
  // As a server that was killed, and starts again.
  std::shared_ptr<Job> Restart() {
    table_.reset();
    return Table().Find("job");
  }
  void UseFolder() { folder_ = directory_.path() + "/ps"; }

  base::TemporaryDirectory directory_{::testing::TempDir(), "ps_job_"};
  MemoryBudget budget_{kMemoryBytes};

 private:
  std::string folder_;
  std::optional<JobTable> table_;
};

TEST_F(JobTest, ARoundHasTheBitsOfTheSumInRankOrderWhateverTheOrderOfArrival) {
  constexpr int kWorkers = 5;
  base::Random random(3);
  std::vector<std::vector<float>> vectors(kWorkers);
  std::vector<wire::VectorView> views;
  for (auto& vector : vectors) {
    for (int i = 0; i < 3000; ++i) {
      const bool is_stored = random.Uniform() < 0.3;
      vector.push_back(is_stored ? static_cast<float>(1e6 * random.Normal()) : 0.0F);
    }
    views.push_back(wire::VectorView::Dense({}, vector));
  }
  std::vector<float> expected(3000);
  wire::SumInRankOrder(views, {}, expected);

  const std::shared_ptr<Job> job = Open(kWorkers);
  for (const int rank : {3, 0, 4, 1}) {
    EXPECT_FALSE(job->Exchange(Push(7, rank, vectors[static_cast<size_t>(rank)])).is_complete);
  }
  EXPECT_THAT(job->Exchange(Pull(7)).missing_ranks, ElementsAre(2));
  EXPECT_TRUE(job->Exchange(Push(7, 2, vectors[2])).is_complete);
  for (int rank = 0; rank < kWorkers; ++rank) {
    EXPECT_EQ(VectorOf(job->Exchange(Pull(7, rank))), expected);
  }
}

TEST_F(JobTest, WhoWaitsIsAnsweredWhenTheLastRankContributes) {
  const std::shared_ptr<Job> job = Open(2);
  SliceAnswer answer;
  std::thread waiting([&] {
    SliceCall call = Push(1, 0, {1, 2}, {0.5});
    call.wait = std::chrono::seconds(60);
    answer = job->Exchange(call);
  });
  job->Exchange(Push(1, 1, {10, 20}, {0.25}));
  waiting.join();
  ASSERT_TRUE(answer.is_complete);
  EXPECT_THAT(VectorOf(answer), ElementsAre(11, 22));
  EXPECT_THAT(ScalarsOf(answer), ElementsAre(0.75));
}

TEST_F(JobTest, APushThatIsRepeatedCountsOnceAndTheFirstWins) {
  const std::shared_ptr<Job> job = Open(2);
  job->Exchange(Push(1, 0, {1}, {}, 40));
  job->Exchange(Push(1, 0, {100}, {}, 41));
  job->Exchange(Push(1, 1, {2}, {}, 42));
  job->Exchange(Push(1, 1, {200}));
  const SliceAnswer answer = job->Exchange(Pull(1, 1));
  EXPECT_THAT(VectorOf(answer), ElementsAre(3));
  EXPECT_EQ(answer.announcement, 40U) << "that of rank 0's first push";
}

TEST_F(JobTest, AGatheringRoundGivesTheBlobsInRankOrder) {
  const std::shared_ptr<Job> job = Open(3);
  const std::vector<std::string> texts = {"zero", "", "the second"};
  for (const int rank : {2, 0, 1}) {
    SliceCall call = Pull(4, rank);
    call.message = BytesMessage(4, rank, texts[static_cast<size_t>(rank)]);
    job->Exchange(call);
  }
  const SliceAnswer answer = job->Exchange(Pull(4));
  const wire::Message message = wire::DecodeMessage(answer.message, "answer");
  const auto blobs = DecodeGathered({message.payload, message.bytes.owner()}, "answer");
  ASSERT_EQ(blobs.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(blobs[i].text(), texts[i]);
}

TEST_F(JobTest, WhatDoesNotFitIsRefusedAndTheRoundGoesOn) {
  const std::shared_ptr<Job> job = Open(2);
  job->Exchange(Push(1, 0, {1, 2}));
  using enum base::ErrorCode;
  ExpectError(kInvalidArgument, "0 to 1", [&] { job->Exchange(Push(1, 2, {1, 2})); });
  ExpectError(kInvalidArgument, "0 to 1", [&] { job->Exchange(Push(1, -1, {1, 2})); });
  ExpectError(kInvalidArgument, "3 elements", [&] { job->Exchange(Push(1, 1, {1, 2, 3})); });
  ExpectError(kInvalidArgument, "1 scalars", [&] { job->Exchange(Push(1, 1, {1, 2}, {5})); });
  ExpectError(kInvalidArgument, "2 slices", [&] {
    SliceCall call = Push(1, 1, {1, 2});
    call.slice_count = 2;
    job->Exchange(call);
  });
  ExpectError(kInvalidArgument, "no slice 1 of 1", [&] {
    SliceCall call = Pull(1);
    call.slice = 1;
    job->Exchange(call);
  });
  ExpectError(kCorrupt, "says round 1", [&] {
    SliceCall call = Push(1, 1, {1, 2});
    call.round.round = 2;
    job->Exchange(call);
  });
  ExpectError(kCorrupt, "checksum", [&] {
    SliceCall call = Push(1, 1, {1, 2});
    base::Bytes bytes(call.message->span().begin(), call.message->span().end());
    bytes.back() ^= std::byte{1};
    call.message = base::Blob(std::move(bytes));
    job->Exchange(call);
  });
  EXPECT_TRUE(job->Exchange(Push(1, 1, {1, 2})).is_complete);
}

TEST_F(JobTest, ARoundIsForgottenWhenEveryRankHasContributedToALaterOne) {
  const std::shared_ptr<Job> job = Open(2);
  for (const uint64_t round : {1U, 2U, 3U}) {
    job->Exchange(Push(round, 0, {1}));
    EXPECT_EQ(job->status().rounds_kept, round == 1 ? 1U : 2U);
    job->Exchange(Push(round, 1, {1}));
    EXPECT_EQ(job->status().rounds_kept, 1U);
  }
  ExpectError(base::ErrorCode::kNotFound, "rounds from 3", [&] { job->Exchange(Pull(2)); });
}

TEST_F(JobTest, RoundsOfAJobThatKeepsThemAreThereUntilTheyAreReleased) {
  const std::shared_ptr<Job> job = Open(1, true);
  for (uint64_t round = 1; round <= 5; ++round) {
    job->Exchange(Push(round, 0, {static_cast<float>(round)}, {}, round));
  }
  EXPECT_THAT(VectorOf(job->Exchange(Pull(1))), ElementsAre(1));
  job->Release({0, 4});
  ExpectError(base::ErrorCode::kNotFound, "is over", [&] { job->Exchange(Pull(3)); });
  EXPECT_THAT(VectorOf(job->Exchange(Pull(4))), ElementsAre(4));
  SliceCall next_generation = Push(1, 0, {9});
  next_generation.round.generation = 1;
  EXPECT_TRUE(job->Exchange(next_generation).is_complete) << "rounds are counted anew";
  job->Release({1, 1});
  EXPECT_EQ(job->status().rounds_kept, 1U);
}

TEST_F(JobTest, OneWhoAsksForItIsEnoughToKeepRounds) {
  UseFolder();
  Open(1, false);
  const auto status_after_rounds = [&](const std::shared_ptr<Job>& job, uint64_t first) {
    for (uint64_t round = first; round < first + 3; ++round) job->Exchange(Push(round, 0, {1}));
    return job->status();
  };
  EXPECT_EQ(status_after_rounds(Open(1, false), 1).rounds_kept, 1U);
  EXPECT_EQ(status_after_rounds(Open(1, true), 4).rounds_kept, 4U);
  EXPECT_EQ(status_after_rounds(Restart(), 7).rounds_kept, 7U);
}

TEST_F(JobTest, EndsAllWaitingWhenTheServerStops) {
  const std::shared_ptr<Job> job = Open(2);
  std::thread waiting([&] {
    SliceCall call = Push(1, 0, {1});
    call.wait = std::chrono::seconds(60);
    ExpectError(base::ErrorCode::kUnavailable, "stopping", [&] { job->Exchange(call); });
  });
  while (job->status().waiting == 0) std::this_thread::yield();
  job->Stop();
  waiting.join();
}

TEST_F(JobTest, WhileTheServerStopsARoundThatHasBegunIsFinishedAndNoneBegins) {
  const std::shared_ptr<Job> job = Open(2);
  job->Exchange(Push(1, 0, {1}));
  EXPECT_TRUE(Table().has_unfinished_round());
  Table().Drain();
  ExpectError(base::ErrorCode::kUnavailable, "no round", [&] { job->Exchange(Push(2, 0, {1})); });
  EXPECT_TRUE(job->Exchange(Push(1, 1, {1})).is_complete);
  EXPECT_FALSE(Table().has_unfinished_round());
}

TEST_F(JobTest, AFullServerRefusesAndRecovers) {
  const std::shared_ptr<Job> job = Open(1, true);
  const std::vector<float> large(3'000'000, 1.0F);
  uint64_t round = 1;
  ExpectError(base::ErrorCode::kResourceExhausted, "is full", [&] {
    for (;; ++round) job->Exchange(Push(round, 0, large));
  });
  EXPECT_GT(round, 3U);
  job->Release({0, round});
  EXPECT_TRUE(job->Exchange(Push(round, 0, large)).is_complete);
  Table().Close("job");
}

TEST_F(JobTest, AShortMessageOfALongVectorIsRefusedWhereItsSumDoesNotFit) {
  const std::shared_ptr<Job> job = Open(1);
  const std::vector<float> zeros(kMemoryBytes / sizeof(float) + 1);
  EXPECT_LT(Push(1, 0, zeros).message->size(), 100U);
  ExpectError(base::ErrorCode::kResourceExhausted, "is full",
              [&] { job->Exchange(Push(1, 0, zeros)); });
  EXPECT_TRUE(job->Exchange(Push(2, 0, {1})).is_complete);
}

// ---- Restarts ----

TEST_F(JobTest, AfterARestartFinishedRoundsAreThereAndUnfinishedOnesBeginAnew) {
  UseFolder();
  const uint64_t incarnation = Open(2, true)->incarnation();
  std::shared_ptr<Job> job = Open(2, true);
  for (const uint64_t round : {1U, 2U, 3U}) {
    job->Exchange(Push(round, 0, {static_cast<float>(round)}, {0.5}, 70 + round));
    job->Exchange(Push(round, 1, {10}, {0.25}));
  }
  job->Release({0, 2});
  job->Exchange(Push(4, 0, {5}));
  job.reset();

  job = Restart();
  EXPECT_EQ(job->incarnation(), incarnation);
  const SliceAnswer answer = job->Exchange(Pull(3));
  EXPECT_THAT(VectorOf(answer), ElementsAre(13));
  EXPECT_THAT(ScalarsOf(answer), ElementsAre(0.75));
  EXPECT_EQ(answer.announcement, 73U);
  EXPECT_THAT(VectorOf(job->Exchange(Pull(2))), ElementsAre(12));
  ExpectError(base::ErrorCode::kNotFound, "is over", [&] { job->Exchange(Pull(1)); });
  EXPECT_THAT(job->Exchange(Pull(4)).missing_ranks, ElementsAre(0, 1));
  job->Exchange(Push(4, 1, {1}));
  EXPECT_TRUE(job->Exchange(Push(4, 0, {5})).is_complete);
}

TEST_F(JobTest, AfterARestartTheSharedModelHasEveryMergeOnce) {
  UseFolder();
  std::shared_ptr<Job> job = Open(2);
  job->Merge(MergeCall(0, 1, {1, 2, 3}));
  job->Merge(MergeCall(1, 1, {0, 0, 10}));
  job->Merge(MergeCall(1, 0, {100, 0, 0}));
  job.reset();
  job = Restart();
  const SliceAnswer repeated = job->Merge(MergeCall(1, 0, {100, 0, 0}));
  EXPECT_THAT(VectorOf(repeated), ElementsAre(101, 2, 13));
  EXPECT_THAT(ScalarsOf(repeated), ElementsAre(1, 1));
  EXPECT_THAT(VectorOf(job->Merge(MergeCall(2, 0, {0, 1, 0}))), ElementsAre(101, 3, 13));
}

TEST_F(JobTest, WithAFolderOldRoundsTakeNoMemory) {
  UseFolder();
  const std::shared_ptr<Job> job = Open(1, true);
  const std::vector<float> large(2'000'000, 1.0F);
  for (uint64_t round = 1; round <= 20; ++round) job->Exchange(Push(round, 0, large));
  EXPECT_LT(budget_.used_bytes(), 3 * large.size() * sizeof(float));
  EXPECT_EQ(VectorOf(job->Exchange(Pull(1))), large);
  Table().Close("job");
}

TEST_F(JobTest, ALongJournalIsReplacedByWhatIsStillNeeded) {
  UseFolder();
  std::shared_ptr<Job> job = Open(1);
  const std::vector<float> large(4'000'000, 1.0F);
  job->Merge(MergeCall(0, 0, {7}));
  uint64_t round = 1;
  for (; round <= kCompactMinBytes / (large.size() * sizeof(float)) + 2; ++round) {
    job->Exchange(Push(round, 0, large));
  }
  EXPECT_LT(job->status().journal_bytes, kCompactMinBytes / 2);
  EXPECT_EQ(VectorOf(job->Exchange(Pull(round - 1))), large);
  job.reset();
  job = Restart();
  EXPECT_EQ(VectorOf(job->Exchange(Pull(round - 1))), large);
  EXPECT_THAT(VectorOf(job->Merge(MergeCall(1, 0, {1}))), ElementsAre(8));
}

// ---- The shared model ----

TEST_F(JobTest, AMergeThatIsRepeatedIsMadeOnceAndOneThatSkipsIsRefused) {
  const std::shared_ptr<Job> job = Open(2);
  ExpectError(base::ErrorCode::kNotFound, "no shared model",
              [&] { job->Merge(MergeCall(1, 0, {1})); });
  EXPECT_THAT(VectorOf(job->Merge(MergeCall(0, 0, {1, 1}))), ElementsAre(1, 1));
  EXPECT_THAT(VectorOf(job->Merge(MergeCall(0, 1, {5, 5}))), ElementsAre(1, 1))
      << "the first start";
  job->Merge(MergeCall(1, 1, {1, 0}));
  const SliceAnswer answer = job->Merge(MergeCall(1, 1, {1, 0}));
  EXPECT_THAT(VectorOf(answer), ElementsAre(2, 1));
  EXPECT_THAT(ScalarsOf(answer), ElementsAre(0, 1));
  ExpectError(base::ErrorCode::kInvalidArgument, "cannot follow", [&] {
    job->Merge(MergeCall(3, 1, {1, 0}));
  });
  ExpectError(base::ErrorCode::kInvalidArgument, "2 elements, not 1",
              [&] { job->Merge(MergeCall(2, 1, {1})); });
}

TEST_F(JobTest, MergesOfManyThreadsAreAllIn) {
  constexpr int kThreads = 8;
  constexpr uint64_t kMerges = 200;
  const std::shared_ptr<Job> job = Open(kThreads);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kThreads; ++rank) {
    threads.emplace_back([&, rank] {
      job->Merge(MergeCall(0, rank, {0, 0}));
      for (uint64_t number = 1; number <= kMerges; ++number) {
        job->Merge(MergeCall(number, rank, {1, static_cast<float>(rank)}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(VectorOf(job->Merge(MergeCall(0, 0, {0, 0}))),
              ElementsAre(kThreads * kMerges, kMerges * 28));
}

// ---- The table of jobs ----

TEST_F(JobTest, ANameInUseByAJobOfAnotherShapeIsRefusedNotReset) {
  const std::shared_ptr<Job> job = Open(2);
  job->Exchange(Push(1, 0, {1}));
  using enum base::ErrorCode;
  ExpectError(kAlreadyExists, "in use", [&] { Table().Open({.job = "job", .worker_count = 3}); });
  ExpectError(kAlreadyExists, "in use",
              [&] { Table().Open({.job = "job", .worker_count = 2, .must_be_new = true}); });
  EXPECT_FALSE(Table().Open({.job = "job", .worker_count = 2}).is_new);
  EXPECT_TRUE(job->Exchange(Push(1, 1, {1})).is_complete);
  ExpectError(kInvalidArgument, "workers", [&] { Table().Open({.job = "b", .worker_count = 0}); });
  for (const char* name : {"", "a/b", "../a", ".hidden", "a b"}) {
    ExpectError(kInvalidArgument, "name", [&] { Table().Open({.job = name}); });
  }
}

TEST_F(JobTest, IdleJobsExpireButNotThoseInUse) {
  UseFolder();
  const std::shared_ptr<Job> busy = Open(2);
  Table().Open({.job = "idle", .worker_count = 1});
  std::thread waiting([&] {
    SliceCall call = Push(1, 0, {1});
    call.wait = std::chrono::seconds(60);
    EXPECT_TRUE(busy->Exchange(call).is_complete);
  });
  while (busy->status().waiting == 0) std::this_thread::yield();
  const base::TimePoint later = base::SystemClock().Now() + std::chrono::hours(1);
  EXPECT_THAT(Table().Expire(later), ElementsAre("idle"));
  EXPECT_FALSE(base::FileExists(directory_.path() + "/ps/idle.job"));
  EXPECT_THAT(Table().Expire(later), IsEmpty());
  busy->Exchange(Push(1, 1, {1}));
  waiting.join();
  EXPECT_THAT(Table().Expire(base::SystemClock().Now() - std::chrono::hours(1)), IsEmpty());
  EXPECT_THAT(Table().Expire(later), ElementsAre("job"));
  ExpectError(base::ErrorCode::kNotFound, "closed", [&] { busy->Exchange(Pull(1)); });
  ExpectError(base::ErrorCode::kNotFound, "no job job", [&] { Table().Find("job"); });
}

TEST_F(JobTest, MemoryIsGivenBackWhenAJobIsClosed) {
  std::shared_ptr<Job> job = Open(2, true);
  for (uint64_t round = 1; round <= 3; ++round) {
    job->Exchange(Push(round, 0, std::vector<float>(1000, 1.0F)));
    job->Exchange(Push(round, 1, std::vector<float>(1000, 1.0F)));
  }
  job->Merge(MergeCall(0, 0, {1, 2, 3}));
  EXPECT_GT(budget_.used_bytes(), 0U);
  Table().Close("job");
  Table().Close("job");
  job.reset();
  EXPECT_EQ(budget_.used_bytes(), 0U);
}

}  // namespace
}  // namespace lambdaml::ps
