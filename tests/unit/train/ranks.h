// Runs every rank of a job in a thread of its own, over one store in memory.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/trainer.h"

#include "support/processes.h"
#include "tests/unit/train/least_squares.h"

namespace lambdaml::train {

using RankMain = std::function<void(store::Store&, const comm::Membership&)>;

// Calls rank_main for ranks 0..worker_count-1 at once; rethrows one of their exceptions.
inline void ForEachRank(int worker_count, const RankMain& rank_main) {
  store::MemoryStore store;
  test::RunInThreads(worker_count, [&](int rank) {
    rank_main(store, {.job = "job", .rank = rank, .worker_count = worker_count});
  });
}

// A training run on least squares.
struct Training {
  std::vector<LeastSquaresData> shards;      // of each rank
  std::vector<LeastSquaresData> valid = {};  // of each rank; empty: no validation rows
  wire::Job job = {};
  optim::Regularizer regularizer = {};
  comm::Pattern pattern = comm::Pattern::kReduce;
  std::vector<float> initial = {};  // empty: zeros
  int64_t patience = 0;
};

// What a rank has at hand to make its algorithm.
struct Rank {
  int rank = 0;
  const Problem& problem;
  Exchange& exchange;
  const wire::Job& job;
  comm::SharedModel* shared = nullptr;  // in asynchronous runs
  std::vector<float> initial;
};

using AlgorithmMaker = std::function<std::unique_ptr<Algorithm>(Rank)>;

struct RankRun {
  TrainerResult result;
  std::vector<report::EpochRecord> records;
  std::vector<std::vector<float>> path;  // the parameters after each epoch
  uint64_t rounds = 0;
};

// Keeps the parameters after each epoch.
class Watched final : public Algorithm {
 public:
  Watched(std::unique_ptr<Algorithm> algorithm, std::vector<std::vector<float>>& path)
      : algorithm_(std::move(algorithm)), path_(path) {}

  void Begin() override { algorithm_->Begin(); }
  void Resume() override { algorithm_->Resume(); }
  int64_t steps_per_epoch() const override { return algorithm_->steps_per_epoch(); }
  model::LossStats RunStep(int64_t epoch, int64_t step) override {
    const model::LossStats stats = algorithm_->RunStep(epoch, step);
    if (step + 1 == steps_per_epoch()) path_.emplace_back(parameters().begin(), parameters().end());
    return stats;
  }
  void VisitState(wire::RankState& state) override { algorithm_->VisitState(state); }
  std::span<const float> parameters() const override { return algorithm_->parameters(); }
  void Settle() override { algorithm_->Settle(); }
  void AddSums(EpochSums& mine) override { algorithm_->AddSums(mine); }
  bool OnSums(const EpochSums& sums) override { return algorithm_->OnSums(sums); }
  std::vector<std::pair<std::string, double>> Details() const override {
    return algorithm_->Details();
  }

 private:
  std::unique_ptr<Algorithm> algorithm_;
  std::vector<std::vector<float>>& path_;
};

inline RankRun RunRank(const Training& training, store::Store& store,
                       const comm::Membership& membership, const AlgorithmMaker& make_algorithm) {
  const auto rank = static_cast<size_t>(membership.rank);
  const bool async = training.job.sync_mode == wire::SyncMode::kAsync;
  const size_t n_features = training.shards[rank].n_features;
  LeastSquares objective(training.shards[rank]);
  LeastSquares valid(training.valid.empty() ? LeastSquaresData{n_features, {}, {}}
                                            : training.valid[rank]);
  Problem problem = {.objective = objective, .regularizer = training.regularizer};
  for (const LeastSquaresData& shard : training.shards) {
    problem.rows_total += static_cast<int64_t>(shard.rows());
    problem.rows_max = std::max(problem.rows_max, static_cast<int64_t>(shard.rows()));
  }
  const auto communicator = comm::MakeCommunicator(training.pattern, store, membership);
  const auto shared = async ? comm::MakeSharedModel(store, membership, n_features) : nullptr;
  Exchange exchange(*communicator);
  const std::vector<float> zeros(n_features, 0.0F);
  RankRun run;
  Watched algorithm(make_algorithm({membership.rank, problem, exchange, training.job, shared.get(),
                                    training.initial.empty() ? zeros : training.initial}),
                    run.path);
  const bool admm = training.job.optim == wire::Optim::kAdmm;
  WholeRun whole_run;
  run.result = *Train(
      algorithm, problem, valid, exchange, whole_run,
      {.epochs_max = admm ? training.job.n_admm_epochs : *training.job.n_epochs,
       .patience = training.patience,
       .synchronous = !async,
       .communicating = [&] { return communicator->stats().communicating; },
       .on_epoch = [&](const report::EpochRecord& record) { run.records.push_back(record); }});
  run.rounds = communicator->stats().rounds;
  return run;
}

// Trains on all ranks.
inline std::vector<RankRun> RunRanks(const Training& training,
                                     const AlgorithmMaker& make_algorithm) {
  std::vector<RankRun> runs(training.shards.size());
  ForEachRank(static_cast<int>(training.shards.size()),
              [&](store::Store& store, const comm::Membership& membership) {
                runs[static_cast<size_t>(membership.rank)] =
                    RunRank(training, store, membership, make_algorithm);
              });
  return runs;
}

inline std::unique_ptr<Algorithm> GradAvgOf(Rank rank) {
  return MakeGradAvg(rank.problem, rank.exchange, rank.job, std::move(rank.initial));
}

inline std::unique_ptr<Algorithm> ModelAvgOf(Rank rank) {
  return MakeModelAvg(rank.problem, rank.exchange, rank.job, std::move(rank.initial));
}

}  // namespace lambdaml::train
