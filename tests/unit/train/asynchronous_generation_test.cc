// A rank of asynchronous training that ends or dies anywhere goes on: no change of it is lost, and
// none is made twice.
#include "lambdaml/train/asynchronous_generation.h"

#include <chrono>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/train/trainer.h"

#include "support/processes.h"
#include "tests/unit/train/data_folder.h"
#include "tests/unit/train/hand_clock.h"
#include "tests/unit/train/pulling_rows.h"

namespace lambdaml::train {
namespace {

constexpr int kRanks = 2;
constexpr int64_t kRows = 12;  // of each rank; 3 batches
constexpr int64_t kEpochs = 4;
constexpr size_t kParameters = 5;
constexpr float kRate = 0.25F;

// What happens to the rank at a call of GoesOn or Meet.
enum class Fate { kTimeEnds, kDiesBefore, kDiesAfter };

struct Died {};

// Does it at call number `call` (1, 2, …) of an invocation; never if that is 0.
class Interrupted final : public Generation {
 public:
  Interrupted(AsynchronousGeneration& inner, Fate fate, int64_t call, const HandClock& clock,
              const base::Deadline& end)
      : inner_(inner), fate_(fate), call_(call), clock_(clock), end_(end) {}

  bool has_state() const override { return inner_.has_state(); }
  void Restore(const StateVisitor& visit) override { inner_.Restore(visit); }

  bool GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) override {
    const bool is_now = Comes();
    // Enough for saving, and for nothing else.
    if (is_now && fate_ == Fate::kTimeEnds) {
      clock_.SleepFor(end_.Remaining() - std::chrono::milliseconds(100));
    }
    const bool goes_on = inner_.GoesOn(epochs, epoch_ended, visit);
    if (is_now && fate_ == Fate::kDiesAfter) throw Died();
    return goes_on;
  }

  bool Meet(int64_t epochs, const StateVisitor& visit, const std::function<void()>& meet) override {
    const bool is_now = Comes();
    const bool met = inner_.Meet(epochs, visit, [&] {
      if (is_now && fate_ == Fate::kTimeEnds) {
        throw base::Error(base::ErrorCode::kDeadlineExceeded, "a rank is slow");
      }
      meet();
    });
    if (is_now && fate_ == Fate::kDiesAfter) throw Died();
    return met;
  }

  int64_t calls() const { return calls_; }

 private:
  bool Comes() {
    const bool is_now = ++calls_ == call_;
    if (is_now && fate_ == Fate::kDiesBefore) throw Died();
    return is_now;
  }

  AsynchronousGeneration& inner_;
  const Fate fate_;
  const int64_t call_;
  const HandClock& clock_;
  const base::Deadline end_;
  int64_t calls_ = 0;
};

class AsynchronousGenerationTest : public testing::Test {
 protected:
  wire::Job JobOf(int rank, int64_t checkpoint_every) const {
    wire::Job job;
    job.job_id = "job";
    job.n_workers = kRanks;
    job.worker_index = rank;
    job.checkpoint = folder_.path();
    job.checkpoint_every = checkpoint_every;
    job.sync_mode = wire::SyncMode::kAsync;
    job.optim = wire::Optim::kGradAvg;
    job.momentum = 0;
    job.n_epochs = kEpochs;
    job.batch_size = 4;
    job.lr = kRate;
    job.timeout_s = 600;
    job.origin = "{}";
    return job;
  }

  // One invocation. The finished model, or nothing if its generation ended before.
  std::optional<std::vector<float>> Invoke(const wire::Job& job, Fate fate, int64_t call,
                                           int64_t* calls) {
    const HandClock clock;
    const base::Deadline end = base::Deadline::After(std::chrono::minutes(10), clock);
    Checkpoints checkpoints(job.checkpoint, job.job_id);
    AsynchronousGeneration generation({.job = job,
                                       .checkpoints = checkpoints,
                                       .visit_more = [](wire::RankState&) {},
                                       .is_job_over = [] { return false; },
                                       .end = end});
    comm::StoreChannel channel(channel_);
    Peers peers(job, channel, end, &generation);
    generation.Join(peers.communicator());
    PullingRows objective(kRows, kParameters);
    PullingRows valid(0, kParameters);
    const Problem problem = {
        .objective = objective, .rows_total = kRanks * kRows, .rows_max = kRows, .regularizer = {}};
    Exchange exchange(peers.communicator());
    const auto algorithm = MakeAsyncGradAvg(problem, exchange, peers.MakeSharedModel(kParameters),
                                            job, std::vector<float>(kParameters, 100.0F));
    Interrupted interrupted(generation, fate, call, clock, end);
    const auto result = Train(*algorithm, problem, valid, exchange, interrupted,
                              {.epochs_max = kEpochs,
                               .synchronous = false,
                               .communicating = [] { return base::Duration(); },
                               .on_epoch = [](const report::EpochRecord&) {}});
    *calls = interrupted.calls();
    if (!result) return std::nullopt;
    return result->parameters;
  }

  // The rank's invocations until it has finished; what happens, happens to the first one.
  std::vector<float> InvokeUntilFinished(wire::Job job, Fate fate, int64_t call, int64_t* calls) {
    while (true) {
      try {
        if (auto model = Invoke(job, fate, call, calls)) return *std::move(model);
        ++job.generation;
        job.attempt = 1;
      } catch (const Died&) {
        ++job.attempt;
      }
      call = 0;
    }
  }

  // Rank 1's fate; rank 0 is left alone. Returns how many calls the rank's last invocation took.
  int64_t ExpectEveryChangeOnce(Fate fate, int64_t call, int64_t checkpoint_every) {
    SCOPED_TRACE(fmt::format("fate {} at call {}, checkpoint every {}", static_cast<int>(fate),
                             call, checkpoint_every));
    channel_.DeletePrefix("", base::Deadline::After(std::chrono::seconds(10)));
    const TemporaryFolder fresh;
    std::vector<int64_t> calls(kRanks);
    test::RunInThreads(kRanks, [&](int rank) {
      wire::Job job = JobOf(rank, checkpoint_every);
      job.checkpoint = fresh.path();
      const std::vector<float> model =
          InvokeUntilFinished(job, fate, rank == 1 ? call : 0, &calls[static_cast<size_t>(rank)]);
      EXPECT_EQ(model, std::vector<float>(kParameters, 100 + kRate * kRanks * kEpochs * 3));
    });
    return calls[1];
  }

  TemporaryFolder folder_;
  store::MemoryStore channel_;
};

TEST_F(AsynchronousGenerationTest, ACutAtEverySafePointLosesNoChangeAndMakesNoneTwice) {
  // A call after each of 3 steps of 4 epochs, and one of Meet.
  const int64_t calls = ExpectEveryChangeOnce(Fate::kTimeEnds, 0, 1'000'000);
  EXPECT_EQ(calls, 3 * kEpochs + 1);
  for (int64_t call = 1; call <= calls; ++call) {
    for (const int64_t checkpoint_every : {1, 2, 1'000'000}) {
      // A time that ends saves; a rank that dies has what it saved before, or nothing at all.
      ExpectEveryChangeOnce(Fate::kTimeEnds, call, checkpoint_every);
      ExpectEveryChangeOnce(Fate::kDiesBefore, call, checkpoint_every);
      ExpectEveryChangeOnce(Fate::kDiesAfter, call, checkpoint_every);
    }
    if (HasFailure()) return;
  }
}

TEST_F(AsynchronousGenerationTest, EachRankGoesOnFromItsOwnState) {
  int64_t calls = 0;
  Invoke(JobOf(1, 1'000'000), Fate::kTimeEnds, 5, &calls);
  EXPECT_EQ(calls, 5);
  const auto has_state = [&](int rank, int64_t generation, int64_t attempt) {
    wire::Job job = JobOf(rank, 1'000'000);
    job.generation = generation;
    job.attempt = attempt;
    Checkpoints checkpoints(job.checkpoint, job.job_id);
    return AsynchronousGeneration({.job = job,
                                   .checkpoints = checkpoints,
                                   .visit_more = [](wire::RankState&) {},
                                   .is_job_over = [] { return false; },
                                   .end = base::Deadline::After(std::chrono::seconds(10))})
        .has_state();
  };
  EXPECT_TRUE(has_state(1, 1, 1));
  EXPECT_TRUE(has_state(1, 0, 2));
  EXPECT_FALSE(has_state(1, 0, 1)) << "what stands there is of another run";
  EXPECT_FALSE(has_state(0, 1, 1)) << "it has saved nothing";
}

TEST_F(AsynchronousGenerationTest, ADamagedStateIsRefused) {
  int64_t calls = 0;
  wire::Job job = JobOf(1, 1'000'000);
  Invoke(job, Fate::kTimeEnds, 5, &calls);
  const std::string file = folder_.path() + "/job/async.rank1";
  const std::string whole(base::MapFile(file).text());
  job.generation = 1;
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    base::WriteFileAtomic(file, base::AsBytes(damaged));
    try {
      Invoke(job, Fate::kTimeEnds, 1, &calls);
      ADD_FAILURE() << "byte " << i << " of " << whole.size() << " was not missed";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt) << error.message();
    }
  }
}

}  // namespace
}  // namespace lambdaml::train
