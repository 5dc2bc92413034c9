#include "lambdaml/train/cnn_trainer.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/nn/momentum_sgd.h"
#include "lambdaml/optim/schedule.h"

#include "tests/unit/train/cnn_testing.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

std::vector<CnnRun> TrainOn(const wire::Job& job, const data::ImageSet& images,
                            const std::optional<data::ImageSet>& test = std::nullopt) {
  store::MemoryStore data;
  PutShards(data, images, job.n_workers, test);
  wire::Job own = job;
  if (test) own.test_file = "test.bin";
  return RunCnn(data, own);
}

void ExpectNear(const std::vector<float>& got, std::span<const float> want, double bound) {
  ASSERT_EQ(got.size(), want.size());
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::pow(double{got[i]} - double{want[i]}, 2);
    norm += std::pow(double{want[i]}, 2);
  }
  EXPECT_LT(std::sqrt(error / norm), bound);
}

TEST(CnnTrainer, AllRanksEndWithTheSameBitsInBothPatterns) {
  const data::ImageSet images = SmallImages(26);
  for (const wire::Optim optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    for (const int64_t workers : {2, 3}) {
      wire::Job job = CnnJob(workers);
      job.optim = optim;
      job.augment = true;
      const std::vector<CnnRun> reduce = TrainOn(job, images);
      job.sync_mode = wire::SyncMode::kReduceScatter;
      const std::vector<CnnRun> scatter = TrainOn(job, images);
      for (size_t rank = 0; rank < reduce.size(); ++rank) {
        EXPECT_EQ(reduce[rank].parameters, reduce[0].parameters);
        EXPECT_EQ(reduce[rank].statistics, reduce[0].statistics);
        EXPECT_EQ(scatter[rank].parameters, reduce[0].parameters);
        EXPECT_EQ(scatter[rank].statistics, reduce[0].statistics);
        EXPECT_EQ(reduce[rank].outcome.loss, scatter[0].outcome.loss);
      }
    }
  }
}

TEST(CnnTrainer, HalvesGiveEveryRankAndPatternTheSameBitsCloseToThoseOfFloat32) {
  const data::ImageSet images = SmallImages(26);
  for (const wire::Optim optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    wire::Job job = CnnJob(2);
    job.optim = optim;
    job.n_epochs = 1;
    job.batch_size = 13;  // one step: differences would grow from one to the next
    const std::vector<CnnRun> whole = TrainOn(job, images);
    job.exchange = wire::Precision::kFloat16;
    const std::vector<CnnRun> halves = TrainOn(job, images);
    job.sync_mode = wire::SyncMode::kReduceScatter;
    const std::vector<CnnRun> scatter = TrainOn(job, images);
    EXPECT_NE(halves[0].parameters, whole[0].parameters);
    // Parameters that were rounded themselves would be off by 1e-4.
    ExpectNear(halves[0].parameters, whole[0].parameters, 3e-5);
    for (const std::vector<CnnRun>* runs : {&halves, &scatter}) {
      for (const CnnRun& run : *runs) {
        EXPECT_EQ(run.parameters, halves[0].parameters);
        EXPECT_EQ(run.statistics, halves[0].statistics);
      }
    }
  }
}

TEST(CnnTrainer, OneWorkerExchangesNothingAndSoRoundsNothing) {
  const data::ImageSet images = SmallImages(10);
  for (const wire::Optim optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    wire::Job job = CnnJob(1);
    job.optim = optim;
    const std::vector<CnnRun> whole = TrainOn(job, images);
    job.exchange = wire::Precision::kFloat16;
    EXPECT_EQ(TrainOn(job, images)[0].parameters, whole[0].parameters);
  }
}

// One worker of a reference run: its network, and its batches from the same source.
struct Reference {
  Reference(store::Store& data, wire::Job job)
      : shards(LoadCnnShards(data, job, base::Deadline::After(std::chrono::seconds(30)))),
        writer(kTestNormalisation),
        batches(shards, writer,
                {.batch_size = *job.batch_size,
                 .seed = static_cast<uint64_t>(job.seed),
                 .rank = job.worker_index}),
        network(MakeTestNetwork(job)),
        velocity(network->parameters().size(), 0.0F) {
    network->Initialise(static_cast<uint64_t>(job.seed));
  }

  CnnShards shards;
  data::ImageWriter writer;
  TrainingBatches batches;
  std::unique_ptr<nn::Network> network;
  std::vector<float> velocity;
  ImageBatch batch;
};

std::vector<std::unique_ptr<Reference>> References(store::Store& data, const wire::Job& job) {
  std::vector<std::unique_ptr<Reference>> all;
  for (int64_t rank = 0; rank < job.n_workers; ++rank) {
    wire::Job own = job;
    own.worker_index = rank;
    all.push_back(std::make_unique<Reference>(data, own));
  }
  return all;
}

nn::MomentumSgd UpdateOf(const wire::Job& job, double lr) {
  return {.learning_rate = static_cast<float>(lr),
          .momentum = static_cast<float>(*job.momentum),
          .weight_decay = static_cast<float>(*job.lambda)};
}

TEST(CnnTrainer, GradientAveragingIsSgdOnTheMeanGradientOfAllRows) {
  wire::Job job = CnnJob(2);
  job.lr_schedule = wire::LrSchedule::kCosine;
  store::MemoryStore data;
  PutShards(data, SmallImages(13), 2);  // 7 and 6 rows: the last batches have 3 and 2
  const std::vector<CnnRun> runs = RunCnn(data, job);

  auto workers = References(data, job);
  const int64_t steps = workers[0]->batches.steps();
  ASSERT_EQ(steps, 2);
  const optim::LearningRate lr(optim::Schedule::kCosine, *job.lr, 2 * steps);
  const size_t size = workers[0]->velocity.size();
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<double> sum(size, 0.0);
      double rows = 0;
      for (const auto& worker : workers) {
        worker->batches.Fill(epoch, step, worker->batch);
        worker->network->Backpropagate(worker->batch.images, worker->batch.labels);
        const auto own = static_cast<double>(worker->batch.rows());
        for (size_t i = 0; i < size; ++i) sum[i] += own * double{worker->network->gradients()[i]};
        rows += own;
      }
      std::vector<float> mean(size);
      for (size_t i = 0; i < size; ++i) mean[i] = static_cast<float>(sum[i] / rows);
      for (const auto& worker : workers) {
        UpdateOf(job, lr.At(epoch * steps + step))
            .Apply(mean, worker->velocity, worker->network->parameters());
      }
    }
  }
  // Float32 rounds in another order here, and networks make much of little.
  ExpectNear(runs[0].parameters, workers[0]->network->parameters(), 1e-3);
}

TEST(CnnTrainer, ModelAveragingIsLocalSgdAndTheMeanWeightedByRows) {
  wire::Job job = CnnJob(2);
  job.optim = wire::Optim::kModelAvg;
  job.n_epochs = 1;
  store::MemoryStore data;
  PutShards(data, SmallImages(13), 2);
  const std::vector<CnnRun> runs = RunCnn(data, job);

  auto workers = References(data, job);
  std::vector<double> parameters(runs[0].parameters.size(), 0.0);
  std::vector<double> statistics(runs[0].statistics.size(), 0.0);
  for (const auto& worker : workers) {
    for (int64_t step = 0; step < worker->batches.steps(); ++step) {
      worker->batches.Fill(0, step, worker->batch);
      worker->network->Backpropagate(worker->batch.images, worker->batch.labels);
      UpdateOf(job, *job.lr)
          .Apply(worker->network->gradients(), worker->velocity, worker->network->parameters());
    }
    const double share = static_cast<double>(worker->shards.train.rows()) / 13;
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i] += share * double{worker->network->parameters()[i]};
    }
    for (size_t i = 0; i < statistics.size(); ++i) {
      statistics[i] += share * double{worker->network->statistics()[i]};
    }
  }
  ExpectNear(runs[1].parameters, std::vector<float>(parameters.begin(), parameters.end()), 1e-6);
  ExpectNear(runs[1].statistics, std::vector<float>(statistics.begin(), statistics.end()), 1e-6);
}

TEST(CnnTrainer, RanksWithoutRowsLeftStillTakePartInEveryRound) {
  wire::Job job = CnnJob(2);
  job.batch_size = 2;
  store::MemoryStore data;
  // Three shards for two workers: 10 and 5 rows.
  PutShards(data, SmallImages(15), 3);
  const std::vector<CnnRun> runs = RunCnn(data, job);
  EXPECT_EQ(runs[0].parameters, runs[1].parameters);
  EXPECT_EQ(runs[0].outcome.epochs, 2);
}

TEST(CnnTrainer, LearnsAndReportsEachEpoch) {
  wire::Job job = CnnJob(1);
  job.n_epochs = 8;
  job.batch_size = 8;
  job.lr_schedule = wire::LrSchedule::kCosine;
  const std::vector<CnnRun> runs = TrainOn(job, SmallImages(120), SmallImages(30));
  const CnnRun& run = runs[0];
  ASSERT_EQ(run.records.size(), 8U);
  EXPECT_EQ(run.records[7].epoch, 8);
  EXPECT_LT(run.records[7].loss, 0.5 * run.records[0].loss);
  EXPECT_GT(*run.records[7].accuracy, 0.8);
  EXPECT_EQ(run.outcome.loss, run.records[7].loss);
  EXPECT_EQ(run.outcome.stopped_by, "n_epochs");
  ASSERT_EQ(run.records[7].extra.size(), 2U);
  EXPECT_EQ(run.records[7].extra[1].first, "test_accuracy");
  EXPECT_EQ(run.outcome.details[1], run.records[7].extra[1]);
}

TEST(CnnTrainer, RecordsAreTheSameOnEveryRankAndAddUpOverRanks) {
  wire::Job job = CnnJob(3);
  job.valid_ratio = 0.2;
  const std::vector<CnnRun> runs = TrainOn(job, SmallImages(31), SmallImages(10));
  for (const CnnRun& run : runs) {
    ASSERT_EQ(run.records.size(), 2U);
    for (size_t e = 0; e < 2; ++e) EXPECT_EQ(run.records[e], runs[0].records[e]);
    const auto valid_rows = *run.records[0].valid_accuracy * 6;
    EXPECT_NEAR(valid_rows, std::round(valid_rows), 1e-9) << "of two rows each";
  }
}

TEST(CnnTrainer, KeepsTheEpochWithTheBestValidationAccuracy) {
  wire::Job job = CnnJob(2);
  job.valid_ratio = 0.3;
  job.n_epochs = 5;
  job.keep = wire::KeptEpoch::kBest;
  const std::vector<CnnRun> runs = TrainOn(job, SmallImages(60));
  double best = -1;
  int64_t best_epoch = 0;
  for (const report::EpochRecord& record : runs[0].records) {
    if (*record.valid_accuracy <= best) continue;
    best = *record.valid_accuracy;
    best_epoch = record.epoch;
  }
  EXPECT_EQ(runs[0].outcome.valid_accuracy, best);
  EXPECT_EQ(runs[0].outcome.details.back(),
            (std::pair<std::string, double>("kept_epoch", static_cast<double>(best_epoch))));
  // The same as a run that ends there (the learning rate is constant).
  job.n_epochs = best_epoch;
  job.keep = wire::KeptEpoch::kLast;
  const std::vector<CnnRun> shorter = TrainOn(job, SmallImages(60));
  EXPECT_EQ(runs[1].parameters, shorter[0].parameters);
  EXPECT_EQ(runs[1].statistics, shorter[0].statistics);
}

TEST(CnnTrainer, StopsEarlyWhenPatienceEnds) {
  wire::Job job = CnnJob(2);
  job.valid_ratio = 0.3;
  job.n_epochs = 40;
  job.lr = 0;  // no epoch is better than the one before, but for the statistics
  job.patience = 3;
  job.keep = wire::KeptEpoch::kLast;
  const std::vector<CnnRun> runs = TrainOn(job, SmallImages(20));
  EXPECT_EQ(runs[0].outcome.stopped_by, "early_stopping");
  EXPECT_LT(runs[0].outcome.epochs, 40);
  EXPECT_EQ(runs[0].outcome.epochs, std::ssize(runs[0].records));
  EXPECT_EQ(runs[0].parameters, runs[1].parameters);
}

TEST(CnnTrainer, AsynchronousWorkersLearnTogether) {
  for (const wire::Optim optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    wire::Job job = CnnJob(2);
    job.optim = optim;
    job.sync_mode = wire::SyncMode::kAsync;
    job.momentum = 0;
    job.n_epochs = 6;
    job.batch_size = 8;
    const std::vector<CnnRun> runs = TrainOn(job, SmallImages(80), SmallImages(20));
    EXPECT_EQ(runs[0].parameters, runs[1].parameters);
    EXPECT_EQ(runs[0].statistics, runs[1].statistics);
    EXPECT_EQ(runs[0].outcome.loss, runs[1].outcome.loss);
    EXPECT_LT(runs[0].records.back().loss, runs[0].records.front().loss);
    EXPECT_EQ(runs[0].outcome.details[0].first, "test_loss");
  }
}

// Goes on from a state, if there is one, and ends after `calls` calls.
class CutGeneration final : public Generation {
 public:
  struct Saved {
    base::Bytes shared;
    base::Bytes own;
  };

  CutGeneration(std::optional<Saved>& saved, int calls) : saved_(saved), calls_(calls) {}

  bool has_state() const override { return saved_.has_value(); }
  void Restore(const StateVisitor& visit) override {
    wire::RankState state = {wire::State(base::Blob(saved_->shared), "shared"),
                             wire::State(base::Blob(saved_->own), "own")};
    visit(state);
    state.shared.CheckEnd();
    state.own.CheckEnd();
  }
  bool GoesOn(int64_t /*epochs*/, bool /*epoch_ended*/, const StateVisitor& visit) override {
    if (--calls_ > 0) return true;
    wire::RankState state;
    visit(state);
    saved_ = Saved{state.shared.TakeBytes(), state.own.TakeBytes()};
    return false;
  }
  bool Meet(int64_t /*epochs*/, const StateVisitor& /*visit*/,
            const std::function<void()>& meet) override {
    meet();
    return true;
  }

 private:
  std::optional<Saved>& saved_;
  int calls_;
};

TEST(CnnTrainer, ARunThatIsCutAnywhereGoesOnBitForBit) {
  for (const auto& [optim, exchange] :
       {std::pair(wire::Optim::kGradAvg, wire::Precision::kFloat32),
        std::pair(wire::Optim::kModelAvg, wire::Precision::kFloat32),
        std::pair(wire::Optim::kModelAvg, wire::Precision::kFloat16)}) {
    wire::Job job = CnnJob(2);
    job.optim = optim;
    job.exchange = exchange;
    job.augment = true;
    job.valid_ratio = 0.3;
    job.n_epochs = 3;
    job.keep = wire::KeptEpoch::kBest;
    job.lr_schedule = wire::LrSchedule::kCosine;
    store::MemoryStore data;
    PutShards(data, SmallImages(17), 2);
    const std::vector<CnnRun> whole = RunCnn(data, job);
    for (const int calls : {1, 2, 4}) {
      std::vector<std::optional<CutGeneration::Saved>> saved(2);
      std::vector<CnnRun> runs;
      std::vector<report::EpochRecord> records;
      for (int generation = 0; runs.empty() || !runs[0].has_ended; ++generation) {
        ASSERT_LT(generation, 20);
        runs = RunCnn(data, job, [&](int rank) {
          return std::make_unique<CutGeneration>(saved[static_cast<size_t>(rank)], calls);
        });
        records.insert(records.end(), runs[1].records.begin(), runs[1].records.end());
      }
      for (size_t rank = 0; rank < 2; ++rank) {
        EXPECT_EQ(runs[rank].parameters, whole[0].parameters) << calls;
        EXPECT_EQ(runs[rank].statistics, whole[0].statistics) << calls;
        EXPECT_EQ(runs[rank].outcome.details, whole[0].outcome.details);
      }
      if (saved[0]) {  // three epochs of model_avg are not cut by four calls
        EXPECT_TRUE(saved[0]->shared == saved[1]->shared) << "the same on every rank";
      }
      ASSERT_EQ(records.size(), 3U);
      for (size_t e = 0; e < 3; ++e) {
        EXPECT_EQ(records[e].epoch, whole[0].records[e].epoch);
        EXPECT_EQ(records[e].loss, whole[0].records[e].loss);
        EXPECT_EQ(records[e].valid_loss, whole[0].records[e].valid_loss);
      }
    }
  }
}

TEST(CnnTrainer, DivergenceIsSaid) {
  wire::Job job = CnnJob(1);
  job.lr = 1e30;
  job.n_epochs = 3;
  try {
    TrainOn(job, SmallImages(20));
    FAIL() << "a rate of 1e30 goes nowhere";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), HasSubstr("give a smaller --lr"));
  }
}

}  // namespace
}  // namespace lambdaml::train
