#include "lambdaml/train/cnn_trainer.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/train/cnn_algorithm.h"
#include "lambdaml/train/cnn_model_file.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

std::optional<double> MeanLoss(const nn::BatchStats& stats) {
  if (stats.rows == 0) return std::nullopt;
  return stats.loss_sum / static_cast<double>(stats.rows);
}

std::optional<double> Accuracy(const nn::BatchStats& stats) {
  if (stats.rows == 0) return std::nullopt;
  return static_cast<double>(stats.correct) / static_cast<double>(stats.rows);
}

// Parameters and statistics of one epoch's end.
struct Snapshot {
  int64_t epoch = 0;  // from 1; 0: none yet
  std::vector<float> parameters;
  std::vector<float> statistics;
  int64_t batch_count = 0;
  CnnSums sums;  // over all ranks

  void Take(nn::Network& network, int64_t of_epoch) {
    epoch = of_epoch;
    parameters.assign(network.parameters().begin(), network.parameters().end());
    statistics.assign(network.statistics().begin(), network.statistics().end());
    batch_count = network.batch_count();
  }
  void VisitState(std::string_view name, wire::State& state) {
    state.Visit(fmt::format("{}_epoch", name), epoch);
    state.Visit(fmt::format("{}_parameters", name), parameters);
    state.Visit(fmt::format("{}_statistics", name), statistics);
    state.Visit(fmt::format("{}_batch_count", name), batch_count);
    train::VisitState(name, sums, state);
  }
  void PutBack(nn::Network& network) const {
    std::ranges::copy(parameters, network.parameters().begin());
    std::ranges::copy(statistics, network.statistics().begin());
    network.set_batch_count(batch_count);
  }
};

class Trainer {
 public:
  explicit Trainer(const CnnTraining& training)
      : t_(training),
        writer_(data::Normalisation{}),
        batches_(training.shards, writer_,
                 {.batch_size = *training.job.batch_size,
                  .seed = static_cast<uint64_t>(training.job.seed),
                  .rank = training.job.worker_index,
                  .augment = training.job.augment}),
        lr_(ScheduleOf(training.job.lr_schedule), *training.job.lr,
            *training.job.n_epochs * batches_.steps()),
        algorithm_(MakeCnnAlgorithm({.network = training.network,
                                     .peers = training.peers,
                                     .sums = courier_,
                                     .job = training.job,
                                     .own_share = OwnShare(training),
                                     .bucket_bytes = kBucketBytesMin})) {}

  std::optional<CnnResult> Run() {
    const StateVisitor visit = [this](wire::RankState& state) { VisitState(state); };
    if (t_.generation.has_state()) {
      t_.generation.Restore(visit);
      writer_ = data::ImageWriter(normalisation_);
      algorithm_->Resume();
    } else {
      normalisation_ = t_.begin();
      writer_ = data::ImageWriter(normalisation_);
      algorithm_->Begin();
    }
    while (epoch_ < *t_.job.n_epochs && stopped_by_.empty()) {
      const bool epoch_ends = step_ == batches_.steps();
      epoch_ends ? EndEpoch() : Step();
      const bool is_whole = epoch_ends || algorithm_->is_whole_between_steps();
      if (is_whole && !t_.generation.GoesOn(epoch_, epoch_ends, visit)) return std::nullopt;
    }
    if (!is_async()) return CnnResult{Conclude(), normalisation_};
    const auto meet = [this] { t_.peers.communicator().AllReduceSum({}, {}); };
    // Until all are there, somebody may still change the shared model.
    if (!t_.generation.Meet(epoch_, visit, meet)) return std::nullopt;
    return CnnResult{ConcludeAsync(), normalisation_};
  }

 private:
  static double OwnShare(const CnnTraining& training) {
    return static_cast<double>(training.shards.train.rows()) /
           static_cast<double>(training.shards.rows_total());
  }

  bool is_async() const { return t_.job.sync_mode == wire::SyncMode::kAsync; }
  bool keeps_epochs() const { return t_.job.keep == wire::KeptEpoch::kBest || t_.job.patience > 0; }

  void Step() {
    const base::TimePoint start = base::SystemClock().Now();
    const base::Duration waited = algorithm_->waited();
    batches_.Fill(epoch_, step_, batch_);
    const auto share = static_cast<float>(static_cast<double>(batch_.rows()) /
                                          static_cast<double>(batches_.RowsOfAll(step_)));
    const auto lr = static_cast<float>(lr_.At(epoch_ * batches_.steps() + step_));
    running_.train += algorithm_->Step(batch_, share, lr);
    if (!std::isfinite(running_.train.loss_sum)) ThrowDiverged();
    ++step_;
    AddTime(start, waited);
    LearnSums();
  }

  void EndEpoch() {
    const base::TimePoint start = base::SystemClock().Now();
    const base::Duration waited = algorithm_->waited();
    algorithm_->EndEpoch();
    LearnSums();
    if (!is_async()) {
      running_.valid = Evaluate(t_.shards.valid);
      running_.test = Evaluate(t_.shards.test);
    }
    AddTime(start, waited);
    ++epoch_;
    step_ = 0;
    if (is_async()) {
      Report(running_, epoch_, 1);
    } else {
      if (keeps_epochs() && stopped_by_.empty()) candidate_.Take(t_.network, epoch_);
      courier_.Attach(running_);
    }
    running_ = {};
  }

  void AddTime(base::TimePoint start, base::Duration waited_before) {
    running_.seconds += base::Seconds(base::SystemClock().Now() - start);
    running_.waiting_s += base::Seconds(algorithm_->waited() - waited_before);
  }

  [[noreturn]] void ThrowDiverged() const {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("training diverged: the loss of epoch {} is not a finite number; "
                                  "give a smaller --lr",
                                  epoch_ + 1));
  }

  nn::BatchStats Evaluate(const data::ImageSet& images) {
    nn::BatchStats stats;
    const int64_t size = t_.network.options().batch_size_max;
    for (int64_t begin = 0; begin < images.rows(); begin += size) {
      FillBatch(images, writer_, begin, std::min(begin + size, images.rows()), batch_);
      stats += t_.network.Evaluate(batch_.images, batch_.labels);
    }
    return stats;
  }

  // Of the epoch before, if they have come in with a round.
  void LearnSums() {
    const std::optional<CnnSums> sums = courier_.Take();
    if (!sums) return;
    const int64_t epoch = reported_ + 1;
    Report(*sums, epoch, t_.peers.communicator().worker_count());
    last_ = *sums;
    Judge(*sums, epoch);
  }

  void Report(const CnnSums& sums, int64_t epoch, int ranks) {
    report::EpochRecord record;
    record.epoch = epoch;
    record.loss = MeanLoss(sums.train).value_or(0);
    record.accuracy = Accuracy(sums.train);
    record.valid_loss = MeanLoss(sums.valid);
    record.valid_accuracy = Accuracy(sums.valid);
    record.seconds = sums.seconds / ranks;
    record.sync_share = sums.seconds > 0 ? sums.waiting_s / sums.seconds : 0;
    AddTest(sums, record.extra);
    reported_ = epoch;
    t_.on_epoch(record);
  }

  static void AddTest(const CnnSums& sums, report::NamedNumbers& numbers) {
    if (sums.test.rows == 0) return;
    numbers.emplace_back("test_loss", *MeanLoss(sums.test));
    numbers.emplace_back("test_accuracy", *Accuracy(sums.test));
  }

  // Keeps the epoch if it is the best so far, and stops when none has been better for long.
  void Judge(const CnnSums& sums, int64_t epoch) {
    if (!keeps_epochs()) return;
    candidate_.sums = sums;
    const nn::BatchStats& judged = sums.valid.rows > 0 ? sums.valid : sums.test;
    const double accuracy = Accuracy(judged).value_or(0);
    const bool is_kept = t_.job.keep == wire::KeptEpoch::kLast || accuracy > best_accuracy_;
    if (is_kept) kept_ = candidate_;
    best_accuracy_ = std::max(best_accuracy_, accuracy);
    if (t_.job.patience == 0) return;
    const double loss = *MeanLoss(sums.valid);
    if (loss < lowest_loss_) {
      lowest_loss_ = loss;
      lowest_loss_epoch_ = epoch;
    }
    if (epoch - lowest_loss_epoch_ >= t_.job.patience) stopped_by_ = "early_stopping";
  }

  TrainingOutcome Conclude() {
    if (stopped_by_.empty()) {  // the last epoch's sums have not travelled yet
      t_.peers.communicator().AllReduceSum(courier_.outgoing(), {});
      courier_.Arrived();
      LearnSums();
      if (stopped_by_.empty()) stopped_by_ = "n_epochs";
    }
    if (kept_.epoch > 0) {
      kept_.PutBack(t_.network);
      last_ = kept_.sums;
    }
    return OutcomeOf(last_, kept_.epoch > 0 ? kept_.epoch : reported_);
  }

  TrainingOutcome ConcludeAsync() {
    algorithm_->Settle();
    courier_.Attach({.train = Evaluate(t_.shards.train),
                     .valid = Evaluate(t_.shards.valid),
                     .test = Evaluate(t_.shards.test)});
    t_.peers.communicator().AllReduceSum(courier_.outgoing(), {});
    courier_.Arrived();
    const CnnSums sums = courier_.Take().value();
    if (!std::isfinite(sums.train.loss_sum)) ThrowDiverged();
    stopped_by_ = "n_epochs";
    return OutcomeOf(sums, epoch_);
  }

  TrainingOutcome OutcomeOf(const CnnSums& sums, int64_t kept_epoch) const {
    TrainingOutcome outcome = {.epochs = reported_,
                               .stopped_by = stopped_by_,
                               .loss = MeanLoss(sums.train).value_or(0),
                               .accuracy = Accuracy(sums.train),
                               .valid_loss = MeanLoss(sums.valid),
                               .valid_accuracy = Accuracy(sums.valid)};
    AddTest(sums, outcome.details);
    outcome.details.emplace_back("weight_decay", *t_.job.lambda);
    if (keeps_epochs()) {
      outcome.details.emplace_back("kept_epoch", static_cast<double>(kept_epoch));
    }
    return outcome;
  }

  void VisitState(wire::RankState& state) {
    wire::State& shared = state.shared;
    shared.Visit("mean", std::span<float>(normalisation_.mean));
    shared.Visit("deviation", std::span<float>(normalisation_.deviation));
    shared.Visit("epoch", epoch_);
    shared.Visit("step", step_);
    shared.Visit("reported", reported_);
    shared.Visit("best_accuracy", best_accuracy_);
    shared.Visit("lowest_loss", lowest_loss_);
    shared.Visit("lowest_loss_epoch", lowest_loss_epoch_);
    shared.Visit("stopped_by", stopped_by_);
    train::VisitState("last", last_, shared);
    candidate_.VisitState("candidate", shared);
    kept_.VisitState("kept", shared);
    train::VisitState("running", running_, state.own);
    courier_.VisitState(state);
    algorithm_->VisitState(state);
  }

  const CnnTraining& t_;
  data::ImageWriter writer_;
  TrainingBatches batches_;
  const optim::LearningRate lr_;
  ImageBatch batch_;

  // The state of the run, together with the network's and the algorithm's.
  data::Normalisation normalisation_;
  int64_t epoch_ = 0;  // that runs; epochs before it are over
  int64_t step_ = 0;   // of it, the next
  CnnSums running_;    // of this rank in it so far
  SumsCourier courier_;
  int64_t reported_ = 0;  // epochs whose sums over ranks have come in
  CnnSums last_;          // of the last of them
  Snapshot candidate_;    // the last epoch's end, until it is judged
  Snapshot kept_;
  double best_accuracy_ = -1;
  double lowest_loss_ = std::numeric_limits<double>::infinity();
  int64_t lowest_loss_epoch_ = 0;
  std::string stopped_by_;

  const std::unique_ptr<CnnAlgorithm> algorithm_;  // last: it uses courier_
};

}  // namespace

std::optional<CnnResult> TrainCnn(const CnnTraining& training) { return Trainer(training).Run(); }

}  // namespace lambdaml::train
