#include "lambdaml/train/trainer.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/base/error.h"

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {
namespace {

using optim::RegularizerKind;

// An algorithm whose epochs are scripted: after epoch k (from 1) the only parameter is k.
class Scripted final : public Algorithm {
 public:
  struct Script {
    std::vector<double> losses = {};  // of this rank's rows in each epoch; 0 beyond
    int64_t converged_epoch = 0;      // whose sums meet the algorithm's rule
  };

  Scripted(Exchange& exchange, Script script) : exchange_(exchange), script_(std::move(script)) {}

  model::LossStats RunStep(int64_t epoch, int64_t /*step*/) override {
    exchange_.Sum({}, {});
    parameter_ = static_cast<float>(epoch + 1);
    const auto at = static_cast<size_t>(epoch);
    return {at < script_.losses.size() ? script_.losses[at] : 0, 1, 4};
  }
  std::span<const float> parameters() const override { return {&parameter_, 1}; }
  void VisitState(wire::RankState& /*state*/) override {}
  bool OnSums(const EpochSums&) override { return ++learnt_ == script_.converged_epoch; }
  std::vector<std::pair<std::string, double>> Details() const override {
    return {{"learnt", static_cast<double>(learnt_)}};
  }

 private:
  Exchange& exchange_;
  const Script script_;
  float parameter_ = 0;
  int64_t learnt_ = 0;
};

// Rows whose loss is a function of the only parameter.
class LossOfEpoch final : public model::Objective {
 public:
  LossOfEpoch(int64_t rows, std::function<double(size_t)> loss)
      : rows_(rows), loss_(std::move(loss)) {}

  int64_t rows() const override { return rows_; }
  int64_t parameter_count() const override { return 1; }
  std::span<const float> penalised() const override { return penalised_; }
  model::LossStats Gradient(model::RowRange, std::span<const float>, std::span<float>) override {
    throw std::logic_error("the trainer takes no gradients");
  }
  model::LossStats Evaluate(model::RowRange rows, std::span<const float> w) override {
    const auto n = static_cast<double>(rows.size());
    return {rows.size() == 0 ? 0 : n * loss_(static_cast<size_t>(w[0])), rows.size() / 2,
            rows.size()};
  }
  double CurvatureBound(model::RowRange) override { return 1; }
  model::LossStats Descend(model::RowRange, float, std::span<float>) override {
    throw std::logic_error("the trainer takes no steps");
  }

 private:
  const int64_t rows_;
  const std::function<double(size_t)> loss_;
  const std::vector<float> penalised_ = {1};
};

struct Scene {
  std::vector<Scripted::Script> scripts;  // of each rank
  std::vector<double> valid_losses = {};  // after each epoch, of every row; none: no such rows
  optim::Regularizer regularizer = {};
  int64_t epochs_max = 10;
  int64_t patience = 0;
  double final_loss = 0.5;
};

// Rank r has 4 + r training rows and 2 + r validation rows.
std::vector<RankRun> Play(const Scene& scene) {
  std::vector<RankRun> runs(scene.scripts.size());
  ForEachRank(
      static_cast<int>(runs.size()), [&](store::Store& store, const comm::Membership& membership) {
        const auto rank = static_cast<size_t>(membership.rank);
        LossOfEpoch objective(4 + membership.rank, [&](size_t) { return scene.final_loss; });
        LossOfEpoch valid(scene.valid_losses.empty() ? 0 : 2 + membership.rank,
                          [&](size_t epoch) { return scene.valid_losses.at(epoch - 1); });
        const Problem problem = {.objective = objective, .regularizer = scene.regularizer};
        const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
        Exchange exchange(*communicator);
        Scripted algorithm(exchange, scene.scripts[rank]);
        WholeRun whole_run;
        runs[rank].result = *Train(
            algorithm, problem, valid, exchange, whole_run,
            {.epochs_max = scene.epochs_max,
             .patience = scene.patience,
             .communicating = [&] { return communicator->stats().communicating; },
             .on_epoch =
                 [&](const report::EpochRecord& record) { runs[rank].records.push_back(record); }});
        runs[rank].rounds = communicator->stats().rounds;
      });
  return runs;
}

TEST(Trainer, RecordsEachEpochInOrderWithTheSumsOfAllRanks) {
  const auto runs = Play({.scripts = {{.losses = {8, 6, 4}}, {.losses = {16, 10, 12}}},
                          .valid_losses = {3, 2, 5},
                          .regularizer = {RegularizerKind::kL2, 0.2},
                          .epochs_max = 3});
  for (const RankRun& run : runs) {
    ASSERT_EQ(run.records.size(), 3U);
    for (size_t i = 0; i < 3; ++i) {
      const report::EpochRecord& record = run.records[i];
      const auto epoch = static_cast<double>(i + 1);
      EXPECT_EQ(record.epoch, static_cast<int64_t>(i + 1));
      const double mean = std::vector<double>{3, 2, 2}[i];  // of 8 rows
      // The penalty is that of the epoch's own parameters.
      EXPECT_NEAR(record.loss, mean + 0.1 * epoch * epoch, 1e-12);
      EXPECT_EQ(record.accuracy, 0.25);
      EXPECT_EQ(record.valid_loss, (std::vector<double>{3, 2, 5}[i]));
      EXPECT_EQ(record.valid_accuracy, 0.4);  // 1 of 2 and 1 of 3
      EXPECT_GT(record.seconds, 0);
      EXPECT_GE(record.sync_share, 0);
      EXPECT_LE(record.sync_share, 1);
      EXPECT_EQ(record.extra, (report::NamedNumbers{{"learnt", epoch}}));
    }
    EXPECT_EQ(run.records.back(), runs[0].records.back());
    EXPECT_EQ(run.rounds, 5U);  // of the epochs, of the last sums, of the evaluation
  }
}

TEST(Trainer, EvaluatesTheFinishedModelOverAllRanks) {
  for (const RankRun& run : Play({.scripts = {{}, {}, {}},
                            .valid_losses = {3, 2},
                            .regularizer = {RegularizerKind::kL1, 0.25},
                            .epochs_max = 2})) {
    EXPECT_EQ(run.result.epochs, 2);
    EXPECT_EQ(run.result.stopped_by, "n_epochs");
    EXPECT_EQ(run.result.parameters, std::vector<float>{2});
    EXPECT_EQ(run.result.train.rows, 4 + 5 + 6);
    EXPECT_EQ(run.result.train.correct, 2 + 2 + 3);
    EXPECT_EQ(run.result.train.loss_sum, 7.5);
    EXPECT_EQ(run.result.valid.rows, 2 + 3 + 4);
    EXPECT_EQ(run.result.valid.loss_sum, 18);
    EXPECT_EQ(run.result.objective, 0.5 + 0.25 * 2);
    EXPECT_EQ(run.result.details, (report::NamedNumbers{{"learnt", 2}}));
  }
}

TEST(Trainer, WithoutValidationRowsThereIsNothingToSayOfThem) {
  const auto runs = Play({.scripts = {{}, {}}, .epochs_max = 1});
  EXPECT_EQ(runs[0].records[0].valid_loss, std::nullopt);
  EXPECT_EQ(runs[0].records[0].valid_accuracy, std::nullopt);
  EXPECT_EQ(runs[0].result.valid.rows, 0);
}

TEST(Trainer, EarlyStoppingKeepsTheBestParametersAndStopsOneEpochLate) {
  // The best is epoch 4; epochs 5 and 6 gain nothing, which is known when epoch 7 has run.
  const std::vector<double> losses = {5, 3, 3.5, 2, 2, 6, 7, 8, 9, 10};
  for (const RankRun& run : Play({.scripts = {{}, {}}, .valid_losses = losses, .patience = 2})) {
    EXPECT_EQ(run.result.stopped_by, "early_stopping");
    EXPECT_EQ(run.result.epochs, 7);
    EXPECT_EQ(run.records.size(), 7U);
    EXPECT_EQ(run.result.parameters, std::vector<float>{4});
    EXPECT_EQ(run.result.valid.loss_sum, 2 * 5);
  }
}

TEST(Trainer, TheEpochAfterTheLastStrawMayStillBeTheBest) {
  const auto runs = Play({.scripts = {{}, {}}, .valid_losses = {5, 6, 1, 0.5}, .patience = 1});
  EXPECT_EQ(runs[0].result.epochs, 3);
  EXPECT_EQ(runs[0].result.stopped_by, "early_stopping");
  EXPECT_EQ(runs[0].result.parameters, std::vector<float>{3});
}

TEST(Trainer, WithPatienceLeftTheBestModelWinsAtTheEndToo) {
  const auto runs =
      Play({.scripts = {{}}, .valid_losses = {5, 1, 3}, .epochs_max = 3, .patience = 2});
  EXPECT_EQ(runs[0].result.stopped_by, "n_epochs");
  EXPECT_EQ(runs[0].result.parameters, std::vector<float>{2});
}

TEST(Trainer, AlgorithmsStopByTheirOwnRuleOneEpochLate) {
  const Scripted::Script script = {.converged_epoch = 3};
  for (const RankRun& run : Play({.scripts = {script, script}})) {
    EXPECT_EQ(run.result.stopped_by, "convergence");
    EXPECT_EQ(run.result.epochs, 4);
    EXPECT_EQ(run.result.parameters, std::vector<float>{4});
  }
}

TEST(Trainer, TheRuleThatStoppedTheRunIsTheOneThatIsNamed) {
  // Convergence is found with epoch 3's sums, and epoch 4's would have exhausted the patience.
  const Scripted::Script converging = {.converged_epoch = 3};
  EXPECT_EQ(Play({.scripts = {converging}, .valid_losses = {1, 0, 3, 2, 2}, .patience = 2})[0]
                .result.stopped_by,
            "convergence");
  // Patience ends with epoch 3, and epoch 4 meets the algorithm's rule.
  const Scripted::Script late = {.converged_epoch = 4};
  EXPECT_EQ(Play({.scripts = {late}, .valid_losses = {1, 2, 3, 4, 5}, .patience = 2})[0]
                .result.stopped_by,
            "early_stopping");
}

TEST(Trainer, TheModelOfTheEpochThatConvergedMayBeTheBest) {
  const auto runs =
      Play({.scripts = {{.converged_epoch = 3}}, .valid_losses = {3, 2, 1, 4}, .patience = 9});
  EXPECT_EQ(runs[0].result.parameters, std::vector<float>{3});
}

// Every rank must end with this error, or the others would wait for it.
void ExpectDivergence(const Scene& scene, const std::string& message) {
  std::atomic<int> failures{0};
  const size_t ranks = scene.scripts.size();
  store::MemoryStore store;
  test::RunInThreads(static_cast<int>(ranks), [&](int rank) {
    LossOfEpoch objective(4, [&](size_t) { return scene.final_loss; });
    LossOfEpoch valid(0, [](size_t) { return 0.0; });
    const Problem problem = {.objective = objective, .regularizer = {}};
    const auto communicator = comm::MakeCommunicator(
        comm::Pattern::kReduce, store,
        {.job = "job", .rank = rank, .worker_count = static_cast<int>(ranks)});
    Exchange exchange(*communicator);
    Scripted algorithm(exchange, scene.scripts[static_cast<size_t>(rank)]);
    try {
      WholeRun whole_run;
      Train(algorithm, problem, valid, exchange, whole_run,
            {.epochs_max = scene.epochs_max,
             .communicating = [] { return base::Duration(); },
             .on_epoch = [](const report::EpochRecord&) {}});
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), testing::HasSubstr(message));
      EXPECT_THAT(error.message(), testing::HasSubstr("--lr"));
      ++failures;
    }
  });
  EXPECT_EQ(failures, static_cast<int>(ranks));
}

TEST(Trainer, DivergenceIsAnErrorOnAllRanks) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ExpectDivergence({.scripts = {{.losses = {1, 2, kNan}}, {.losses = {1, 2, 3}}}}, "epoch 3");
  ExpectDivergence({.scripts = {{.losses = {1, 2}}, {.losses = {1, kInfinity}}}, .epochs_max = 2},
                   "epoch 2");
}

TEST(Trainer, DivergenceInTheLastStepsIsAnErrorOnAllRanksToo) {
  ExpectDivergence(
      {.scripts = {{}, {}}, .epochs_max = 1, .final_loss = std::numeric_limits<double>::infinity()},
      "finished model");
}

}  // namespace
}  // namespace lambdaml::train
