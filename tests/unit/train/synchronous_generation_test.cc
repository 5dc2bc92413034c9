#include "lambdaml/train/synchronous_generation.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/peers.h"

#include "support/processes.h"
#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using testing::Each;
using testing::Eq;
using testing::HasSubstr;
using testing::IsNull;

// What an invocation of the loop below has come to.
struct Invocation {
  bool is_finished = false;
  int64_t first_step = 0;
  int64_t steps = 0;  // that are over, of all generations
  double sum = 0;     // of all ranks' terms: in the state, the same on all ranks
  int64_t own = 0;    // in the rank's own part of the state
};

class SynchronousGenerationTest : public testing::Test {
 protected:
  wire::Job JobOf(int64_t rank, int64_t workers = 3) const {
    wire::Job job;
    job.job_id = "job";
    job.n_workers = workers;
    job.worker_index = rank;
    job.checkpoint = folder_.path();
    job.round_timeout_s = job.start_timeout_s = 30;
    job.timeout_s = 60;
    job.origin = rank == 0 ? "{}" : "";
    return job;
  }

  static std::unique_ptr<CheckpointedGeneration> Enter(const wire::Job& job,
                                                       Checkpoints& checkpoints,
                                                       const base::Deadline& end) {
    return EnterGeneration({.job = job,
                            .checkpoints = checkpoints,
                            .visit_more = [](wire::RankState&) {},
                            .is_job_over = [] { return false; },
                            .end = end});
  }

  // One invocation of a loop that adds step · (rank + 1) in each step. It dies after the step
  // `dies_after`.
  Invocation Invoke(const wire::Job& job, int64_t steps_max, base::Duration time,
                    int64_t dies_after = -1) {
    const base::Deadline end = base::Deadline::After(time);
    Checkpoints checkpoints(job.checkpoint, job.job_id);
    const auto generation = Enter(job, checkpoints, end);
    comm::StoreChannel channel(channel_);
    Peers peers(job, channel, end, generation.get());
    generation->Join(peers.communicator());
    Invocation invocation = {.own = job.worker_index};
    const StateVisitor visit = [&](wire::RankState& state) {
      state.shared.Visit("steps", invocation.steps);
      state.shared.Visit("sum", invocation.sum);
      state.own.Visit("own", invocation.own);
    };
    if (generation->has_state()) generation->Restore(visit);
    invocation.first_step = invocation.steps + 1;
    while (invocation.steps < steps_max) {
      ++invocation.steps;
      before_step_();
      std::vector<double> terms = {static_cast<double>(invocation.steps) *
                                   static_cast<double>(job.worker_index + 1)};
      peers.communicator().AllReduceSum(terms, {});
      invocation.sum += terms[0];
      invocation.own += 10;
      if (invocation.steps == dies_after) return invocation;
      if (!generation->GoesOn(invocation.steps, true, visit)) return invocation;
    }
    invocation.is_finished = true;
    return invocation;
  }

  // One generation of three ranks.
  std::vector<Invocation> InvokeAll(int64_t number, int64_t steps_max,
                                    const std::function<void(wire::Job&)>& change,
                                    base::Duration time = std::chrono::seconds(30)) {
    std::vector<Invocation> invocations(3);
    test::RunInThreads(3, [&](int rank) {
      wire::Job job = JobOf(rank);
      job.generation = number;
      change(job);
      invocations[static_cast<size_t>(rank)] = Invoke(job, steps_max, time);
    });
    return invocations;
  }

  void ExpectRefusal(const wire::Job& job, base::ErrorCode code, const std::string& said) {
    try {
      Invoke(job, 10, std::chrono::seconds(10));
      ADD_FAILURE() << "accepted: " << said;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), code) << error.message();
      EXPECT_THAT(error.message(), HasSubstr(said));
    }
  }

  // The file of a part of the newest checkpoint.
  std::string FileOf(const std::string& part) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename();
      if (name.find(part) != std::string::npos) return entry.path();
    }
    ADD_FAILURE() << "no " << part;
    return {};
  }

  TemporaryFolder folder_;
  store::MemoryStore channel_;
  std::function<void()> before_step_ = [] {};
};

// Σ step · (1 + 2 + 3).
double SumAfter(int64_t steps) { return 3.0 * static_cast<double>(steps * (steps + 1)); }

TEST_F(SynchronousGenerationTest, TheClockEndsItOnAllRanksAfterTheSameRound) {
  std::vector<int64_t> steps(3);
  test::RunInThreads(3, [&](int rank) {
    // Rank 2 has least time, and says so when it arrives; rank 0 decides for all.
    wire::Job job = JobOf(rank);
    job.timeout_s = rank == 2 ? 1 : 20;
    const Invocation invocation = Invoke(job, 1'000'000'000, base::FromSeconds(job.timeout_s));
    EXPECT_FALSE(invocation.is_finished);
    steps[static_cast<size_t>(rank)] = invocation.steps;
  });
  EXPECT_THAT(steps, Each(Eq(steps[0])));
  const auto next = InvokeAll(1, steps[0] + 5, [](wire::Job&) {});
  for (const Invocation& invocation : next) {
    EXPECT_TRUE(invocation.is_finished);
    EXPECT_EQ(invocation.first_step, steps[0] + 1);
    EXPECT_EQ(invocation.sum, SumAfter(steps[0] + 5));
  }
  EXPECT_EQ(next[2].own, 2 + 10 * (steps[0] + 5));
}

// Both invocations of rank 0 and the other ranks see different ends of time, and all stop for a
// moment now and then, so that each invocation of rank 0 is overtaken at times. Only what was
// announced first counts.
TEST_F(SynchronousGenerationTest, TheClockEndsItAfterTheSameRoundThoughRank0IsThereTwice) {
  std::atomic<int64_t> calls{0};
  before_step_ = [&] {
    if (++calls % 97 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  };
  for (const auto sync_mode : {wire::SyncMode::kReduce, wire::SyncMode::kReduceScatter}) {
    for (const int shortest : {0, 3}) {
      SCOPED_TRACE(testing::Message() << "shortest " << shortest);
      const auto change = [&](wire::Job& job) {
        job.job_id = "job" + std::to_string(10 * static_cast<int>(sync_mode) + shortest);
        job.sync_mode = sync_mode;
      };
      std::vector<int64_t> steps(4);
      test::RunInThreads(4, [&](int thread) {
        wire::Job job = JobOf(thread % 3);
        change(job);
        job.timeout_s = thread == shortest ? 3 : 8 + thread;
        try {
          const Invocation invocation =
              Invoke(job, 1'000'000'000, base::FromSeconds(job.timeout_s));
          EXPECT_FALSE(invocation.is_finished);
          steps[static_cast<size_t>(thread)] = invocation.steps;
        } catch (const base::Error& error) {
          // One of rank 0's may find itself left behind at the end.
          EXPECT_EQ(job.worker_index, 0) << error.message();
          EXPECT_THAT(error.message(), HasSubstr("has gone on from a newer state"));
        }
      });
      if (steps[0] == 0) std::swap(steps[0], steps[3]);
      if (steps[3] == 0) steps[3] = steps[0];
      EXPECT_GT(steps[0], 0) << "both invocations of rank 0 were left behind";
      EXPECT_THAT(steps, Each(Eq(steps[0])));
      for (const Invocation& invocation : InvokeAll(1, steps[0] + 5, change)) {
        EXPECT_EQ(invocation.first_step, steps[0] + 1);
        EXPECT_EQ(invocation.sum, SumAfter(steps[0] + 5));
      }
    }
  }
}

// Of two invocations that were paused one may have seen an older checkpoint than the other ranks.
TEST_F(SynchronousGenerationTest, TheMeetingNoticesRanksAtDifferentCheckpoints) {
  const auto end_after_four = [](wire::Job& job) { job.run_epochs = 4; };
  InvokeAll(0, 20, end_after_four);
  const TemporaryFolder older;
  std::filesystem::copy(folder_.path(), older.path(), std::filesystem::copy_options::recursive);
  InvokeAll(1, 20, end_after_four);
  test::RunInThreads(3, [&](int rank) {
    wire::Job job = JobOf(rank);
    job.generation = 2;
    if (rank == 1) job.checkpoint = older.path();
    ExpectRefusal(job, base::ErrorCode::kUnavailable, "generation 2 begins with checkpoint");
  });
}

TEST_F(SynchronousGenerationTest, EpochsEndItTooAndTheNextGoesOn) {
  const auto end_after_four = [](wire::Job& job) { job.run_epochs = 4; };
  for (int64_t number = 0; number < 3; ++number) {
    for (const Invocation& invocation : InvokeAll(number, 11, end_after_four)) {
      EXPECT_EQ(invocation.first_step, 4 * number + 1);
      EXPECT_EQ(invocation.is_finished, number == 2);
      EXPECT_EQ(invocation.sum, SumAfter(std::min<int64_t>(4 * number + 4, 11)));
    }
  }
}

TEST_F(SynchronousGenerationTest, AWorkerStartedAgainInTheMiddleGoesOnFromTheCheckpoint) {
  for (int64_t lost = 0; lost < 3; ++lost) {
    for (int64_t dies_after = 1; dies_after <= 8; ++dies_after) {
      SCOPED_TRACE(testing::Message() << "rank " << lost << " after step " << dies_after);
      test::RunInThreads(3, [&](int rank) {
        wire::Job job = JobOf(rank);
        job.job_id = "job" + std::to_string(10 * lost + dies_after);
        job.checkpoint_every = 3;
        const base::Duration time = std::chrono::seconds(30);
        if (rank == lost) {
          Invoke(job, 10, time, dies_after);
          job.attempt = 2;
        }
        const Invocation invocation = Invoke(job, 10, time);
        EXPECT_TRUE(invocation.is_finished);
        EXPECT_EQ(invocation.sum, SumAfter(10));
        EXPECT_EQ(invocation.own, rank + 100);
        // It dies before it says whether it goes on. Rank 0's checkpoint stands then; the others'
        // may not yet.
        const int64_t saved = (dies_after - 1) / 3 * 3;
        if (rank == 0 && lost == 0) {
          EXPECT_EQ(invocation.first_step, saved + 1);
        }
      });
    }
  }
}

// Who goes on from a checkpoint in the middle counts the generation's epochs from its beginning.
TEST_F(SynchronousGenerationTest, AWorkerStartedAgainEndsTheGenerationWithTheOthers) {
  test::RunInThreads(3, [&](int rank) {
    wire::Job job = JobOf(rank);
    job.checkpoint_every = 3;
    job.run_epochs = 7;
    const base::Duration time = std::chrono::seconds(30);
    if (rank == 1) {
      Invoke(job, 20, time, 5);
      job.attempt = 2;
    }
    EXPECT_EQ(Invoke(job, 20, time).steps, 7);
  });
}

TEST_F(SynchronousGenerationTest, OneThatIsOverIsPassedOver) {
  InvokeAll(0, 10, [](wire::Job& job) { job.run_epochs = 4; });
  wire::Job late = JobOf(1);
  late.attempt = 2;
  Checkpoints checkpoints(late.checkpoint, late.job_id);
  EXPECT_THAT(Enter(late, checkpoints, base::Deadline::After(std::chrono::seconds(10))), IsNull());
}

// A rank that is started again in the moment of a hand-over, before the manifest is there, has
// nothing to go through again: what its peers wrote is deleted by the time it asks.
TEST_F(SynchronousGenerationTest, WhoMissesTheHandOverLearnsOfItWhileItWaits) {
  wire::Job late = JobOf(1);
  late.attempt = 2;
  const base::Deadline end = base::Deadline::After(std::chrono::seconds(30));
  Checkpoints checkpoints(late.checkpoint, late.job_id);
  const auto generation = Enter(late, checkpoints, end);
  EXPECT_FALSE(generation->IsLeftBehind());
  InvokeAll(0, 10, [](wire::Job& job) { job.run_epochs = 4; });

  comm::StoreChannel channel(channel_);
  Peers peers(late, channel, end, generation.get());
  try {
    generation->Join(peers.communicator());
    ADD_FAILURE() << "nobody is there to join";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable) << error.message();
    EXPECT_THAT(error.message(), HasSubstr("rank 1: the job has gone on"));
  }
  EXPECT_TRUE(generation->IsLeftBehind());
  EXPECT_THAT(Enter(late, checkpoints, end), IsNull());
}

// Who waits for a manifest that two newer ones have replaced already is past it, too.
TEST_F(SynchronousGenerationTest, AManifestThatIsPastIsWaitedForNoLonger) {
  const auto save_each = [](wire::Job& job) { job.checkpoint_every = 1; };
  InvokeAll(0, 5, save_each);
  Checkpoints checkpoints(folder_.path(), "job");
  EXPECT_TRUE(checkpoints.WaitFor(1, base::Deadline::After(std::chrono::seconds(30))));
  EXPECT_FALSE(checkpoints.WaitFor(6, base::Deadline::After(std::chrono::milliseconds(10))));
}

TEST_F(SynchronousGenerationTest, ACheckpointThatDoesNotFitIsRefusedWithTheReason) {
  wire::Job job = JobOf(1);
  job.generation = 1;
  job.round_timeout_s = job.start_timeout_s = 5;
  ExpectRefusal(job, base::ErrorCode::kNotFound, "generation 1 has no checkpoint to go on from");
  InvokeAll(0, 10, [](wire::Job& each) { each.run_epochs = 4; });

  wire::Job larger = job;
  larger.n_workers = 4;
  ExpectRefusal(larger, base::ErrorCode::kCorrupt, "is of 3 workers, the job has 4");
  wire::Job foreign = job;
  foreign.job_id = "another";
  ExpectRefusal(foreign, base::ErrorCode::kNotFound, "no checkpoint to go on from");
}

TEST_F(SynchronousGenerationTest, ADamagedCheckpointIsRefusedNamingThePart) {
  InvokeAll(0, 10, [](wire::Job& job) { job.run_epochs = 4; });
  const std::string file = FileOf(".rank1.");
  std::string bytes(base::MapFile(file).text());
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  base::WriteFileAtomic(file, base::AsBytes(bytes));
  test::RunInThreads(3, [&](int rank) {
    wire::Job job = JobOf(rank);
    job.generation = 1;
    job.round_timeout_s = 1;
    if (rank == 1) {
      ExpectRefusal(job, base::ErrorCode::kCorrupt, ".rank1.");
    } else {
      ExpectRefusal(job, base::ErrorCode::kDeadlineExceeded, "rank 1");
    }
  });
}

TEST_F(SynchronousGenerationTest, AllRanksThatDoNotArriveAreNamed) {
  test::RunInThreads(2, [&](int thread) {
    wire::Job job = JobOf(2 * thread, 5);
    job.start_timeout_s = 0.2;
    ExpectRefusal(job, base::ErrorCode::kDeadlineExceeded,
                  "3 of 5 workers have not arrived within");
    ExpectRefusal(job, base::ErrorCode::kDeadlineExceeded, "missing rank 1, 3, 4");
  });
}

}  // namespace
}  // namespace lambdaml::train
