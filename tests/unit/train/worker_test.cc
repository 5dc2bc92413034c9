// Whole workers, in threads, over folders: what becomes of one that comes too late.
#include "lambdaml/train/worker.h"

#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/train/job_record.h"

#include "support/processes.h"
#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

constexpr base::Duration kLong = std::chrono::seconds(60);

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    data_.Split(NumberedRows(24, {-1, 1}, true), 2);
    for (const char* name : {"run", "channel"}) std::filesystem::create_directory(Path(name));
  }

  std::string Path(const std::string& name) const { return places_.path() + "/" + name; }

  wire::Job JobOf(int64_t rank) const {
    wire::Job job;
    job.data = data_.path();
    job.model_url = Path("run");
    job.channel = "file://" + Path("channel");
    job.checkpoint = Path("checkpoint");
    job.optim = wire::Optim::kGradAvg;
    job.regularizer = wire::Regularizer::kNone;
    job.lambda = 0;
    job.lr = 0.01;
    job.batch_size = 4;
    job.n_epochs = 6;
    job.n_workers = 2;
    job.job_id = "job";
    job.worker_index = rank;
    job.origin = rank == 0 ? "{}" : "";
    return job;
  }

  static WorkerReport Invoke(const wire::Job& job) {
    return RunWorker(job, {.deadline = base::Deadline::After(kLong)});
  }

  // Both ranks of a generation, from the first to the last round.
  void InvokeBoth(const std::function<void(wire::Job&)>& change) const {
    test::RunInThreads(2, [&](int rank) {
      wire::Job job = JobOf(rank);
      change(job);
      Invoke(job);
    });
  }

  // Rank 1 once more, in the first generation, while nothing is saved: it begins anew. `happens`
  // once it waits for rank 0, who is not there.
  WorkerReport InvokeLate(const std::function<void()>& happens) const {
    wire::Job late = JobOf(1);
    late.attempt = 2;
    std::thread others([&] {
      const base::Deadline end = base::Deadline::After(kLong);
      while (!std::filesystem::exists(Path("channel/job/0/all/1.1")) && !end.Expired()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      happens();
    });
    try {
      WorkerReport report = Invoke(late);
      others.join();
      return report;
    } catch (...) {
      others.join();
      throw;
    }
  }

  TemporaryFolder data_;
  TemporaryFolder places_;
};

// Its own time would last for a minute.
TEST_F(WorkerTest, AGenerationEndsBeforeItsTriggerMust) {
  const int64_t end_epoch_ms = NowEpochMs() + 5000;
  test::RunInThreads(2, [&](int rank) {
    wire::Job job = JobOf(rank);
    job.n_epochs = 1'000'000'000;
    job.ends_at_ms = end_epoch_ms;
    EXPECT_FALSE(Invoke(job).is_finished);
  });
  EXPECT_LT(NowEpochMs(), end_epoch_ms);
}

TEST_F(WorkerTest, WhoWaitsInAJobThatNobodyWantsAnyMoreEnds) {
  wire::Job alone = JobOf(1);
  alone.is_watched = true;
  try {
    Invoke(alone);
    FAIL() << "its peer is not there";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kCancelled) << error.message();
    EXPECT_THAT(error.message(), HasSubstr("no longer wanted"));
  }
}

TEST_F(WorkerTest, WhoWaitsForPeersThatHaveHandedOverEndsItsGenerationToo) {
  InvokeBoth([](wire::Job& job) { job.run_epochs = 2; });
  // As it was when the late one looked: the checkpoint is not there yet.
  std::filesystem::rename(Path("checkpoint"), Path("aside"));
  std::filesystem::remove_all(Path("channel/job"));
  const WorkerReport report = InvokeLate([&] {
    std::filesystem::remove_all(Path("checkpoint"));
    std::filesystem::rename(Path("aside"), Path("checkpoint"));
  });
  EXPECT_FALSE(report.is_finished);
}

TEST_F(WorkerTest, WhoWaitsForPeersThatHaveFinishedTheJobHasItsOutcome) {
  InvokeBoth([](wire::Job&) {});
  std::filesystem::rename(Path("run/job/outcome"), Path("aside"));
  std::filesystem::remove_all(Path("channel/job"));
  const WorkerReport report =
      InvokeLate([&] { std::filesystem::rename(Path("aside"), Path("run/job/outcome")); });
  EXPECT_TRUE(report.is_finished);
  EXPECT_EQ(report.outcome.epochs, 6);
}

// Two checkpoints have come and gone while it was paused: it goes on from the newest.
TEST_F(WorkerTest, WhoIsOvertakenInItsGenerationGoesOnFromTheNewestState) {
  InvokeBoth([](wire::Job& job) {
    job.checkpoint_every = 1;
    job.max_restarts = 1;
  });
  std::filesystem::remove(Path("run/job/outcome"));
  std::filesystem::rename(Path("checkpoint"), Path("aside"));
  // The first round is another's now: nothing of the job's beginning is left.
  std::filesystem::remove(Path("channel/job/0/all/1.0"));
  std::filesystem::remove(Path("channel/job/0/all/1.1"));
  const WorkerReport report = InvokeLate([&] {
    std::filesystem::remove_all(Path("checkpoint"));
    std::filesystem::rename(Path("aside"), Path("checkpoint"));
  });
  EXPECT_TRUE(report.is_finished);
  EXPECT_EQ(report.outcome.epochs, 6);
}

}  // namespace
}  // namespace lambdaml::train
