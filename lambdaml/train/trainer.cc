#include "lambdaml/train/trainer.h"

#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <utility>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"

namespace lambdaml::train {
namespace {

std::optional<double> Mean(double sum, int64_t rows) {
  if (rows == 0) return std::nullopt;
  return sum / static_cast<double>(rows);
}

[[noreturn]] void ThrowDiverged(std::string_view where) {
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("training diverged: the loss of {} is not a finite number; "
                                "give a smaller --lr",
                                where));
}

class Loop {
 public:
  Loop(Algorithm& algorithm, const Problem& problem, model::Objective& valid, Exchange& exchange,
       Generation& generation, const TrainerOptions& options)
      : algorithm_(algorithm),
        problem_(problem),
        valid_(valid),
        exchange_(exchange),
        generation_(generation),
        options_(options) {
    result_.stopped_by = "n_epochs";
  }

  std::optional<TrainerResult> Run() {
    const StateVisitor visit = [this](wire::RankState& state) { VisitState(state); };
    if (generation_.has_state()) {
      generation_.Restore(visit);
      algorithm_.Resume();
    } else {
      algorithm_.Begin();
    }
    while (!stopping_ && result_.epochs < options_.epochs_max) {
      RunStep();
      const bool epoch_ended = step_ == algorithm_.steps_per_epoch();
      if (epoch_ended) EndEpoch();
      if (!generation_.GoesOn(result_.epochs, epoch_ended, visit)) return std::nullopt;
    }
    if (options_.synchronous) {
      exchange_.Flush();
      OnSums();
    } else if (!generation_.Meet(result_.epochs, visit, [&] { exchange_.Sum({}, {}); })) {
      return std::nullopt;  // somebody may still change the shared model
    }
    algorithm_.Settle();
    return Conclude();
  }

 private:
  // Takes the time of what adds to the present epoch.
  template <typename Work>
  void Timed(const Work& work) {
    const base::TimePoint start = base::SystemClock().Now();
    const base::Duration communicating = options_.communicating();
    work();
    mine_.seconds += base::Seconds(base::SystemClock().Now() - start);
    mine_.communicating_s += base::Seconds(options_.communicating() - communicating);
  }

  void RunStep() {
    Timed([&] { mine_.train += algorithm_.RunStep(result_.epochs, step_); });
    ++step_;
  }

  void EndEpoch() {
    Timed([&] { mine_.valid = valid_.Evaluate({0, valid_.rows()}, algorithm_.parameters()); });
    // The sums of the epoch before came with this epoch's first round.
    stopping_ = OnSums();
    ++result_.epochs;
    Finish(std::exchange(mine_, {}));
    step_ = 0;
  }

  // Hands the epoch's sums to the next round, with what is needed to report them then.
  void Finish(EpochSums mine) {
    algorithm_.AddSums(mine);
    const std::span<const float> w = algorithm_.parameters();
    pending_ = {result_.epochs, problem_.regularizer.Value(w, problem_.objective.penalised())};
    if (!options_.synchronous) {
      Report(mine, 1);
      return;
    }
    if (options_.patience > 0) candidate_.assign(w.begin(), w.end());
    exchange_.Attach(mine);
  }

  // True if a stopping rule is met by the sums that have come in, if any have.
  bool OnSums() {
    const std::optional<EpochSums> sums = exchange_.TakeSums();
    if (!sums) return false;
    const bool converged = algorithm_.OnSums(*sums);
    Report(*sums, exchange_.worker_count());
    const bool out_of_patience = OutOfPatience(*sums);
    if (result_.stopped_by != "n_epochs") return true;  // these are the sums of one epoch more
    if (converged) {
      result_.stopped_by = "convergence";
    } else if (out_of_patience) {
      result_.stopped_by = "early_stopping";
    }
    return converged || out_of_patience;
  }

  void Report(const EpochSums& sums, int ranks) {
    report::EpochRecord record;
    record.epoch = pending_.epoch;
    record.loss = Mean(sums.train.loss_sum, sums.train.rows).value_or(0) + pending_.penalty;
    record.accuracy = Mean(static_cast<double>(sums.train.correct), sums.train.rows);
    record.valid_loss = Mean(sums.valid.loss_sum, sums.valid.rows);
    record.valid_accuracy = Mean(static_cast<double>(sums.valid.correct), sums.valid.rows);
    record.seconds = sums.seconds / ranks;
    record.sync_share = sums.seconds > 0 ? sums.communicating_s / sums.seconds : 0;
    record.extra = algorithm_.Details();
    if (!std::isfinite(record.loss)) ThrowDiverged(fmt::format("epoch {}", record.epoch));
    options_.on_epoch(record);
  }

  bool OutOfPatience(const EpochSums& sums) {
    if (options_.patience == 0) return false;
    const double loss = sums.valid.loss_sum / static_cast<double>(sums.valid.rows);
    if (loss < best_loss_) {
      best_loss_ = loss;
      best_ = candidate_;
      epochs_without_gain_ = 0;
      return false;
    }
    return ++epochs_without_gain_ >= options_.patience;
  }

  TrainerResult Conclude() {
    const std::span<const float> last = algorithm_.parameters();
    result_.parameters = best_.empty() ? std::vector<float>(last.begin(), last.end()) : best_;
    const std::span<const float> w = result_.parameters;
    EpochSums mine;
    mine.train = problem_.objective.Evaluate({0, problem_.objective.rows()}, w);
    mine.valid = valid_.Evaluate({0, valid_.rows()}, w);
    exchange_.Attach(mine);
    exchange_.Flush();
    const EpochSums sums = exchange_.TakeSums().value();
    result_.train = sums.train;
    result_.valid = sums.valid;
    result_.objective = sums.train.loss_sum / static_cast<double>(sums.train.rows) +
                        problem_.regularizer.Value(w, problem_.objective.penalised());
    // The last steps may have done what no epoch has seen.
    if (!std::isfinite(result_.objective)) ThrowDiverged("the finished model");
    result_.details = algorithm_.Details();
    return std::move(result_);
  }

  void VisitState(wire::RankState& state) {
    wire::State& shared = state.shared;
    shared.Visit("epochs", result_.epochs);
    shared.Visit("stopped_by", result_.stopped_by);
    shared.Visit("stopping", stopping_);
    shared.Visit("step", step_);
    shared.Visit("pending_epoch", pending_.epoch);
    shared.Visit("pending_penalty", pending_.penalty);
    shared.Visit("candidate", candidate_);
    shared.Visit("best", best_);
    shared.Visit("best_loss", best_loss_);
    shared.Visit("epochs_without_gain", epochs_without_gain_);
    train::VisitState("epoch_so_far", mine_, state.own);
    exchange_.VisitState(state);
    algorithm_.VisitState(state);
  }

  struct PendingReport {
    int64_t epoch = 0;
    double penalty = 0;
  };

  Algorithm& algorithm_;
  const Problem& problem_;
  model::Objective& valid_;
  Exchange& exchange_;
  Generation& generation_;
  const TrainerOptions& options_;

  TrainerResult result_;  // so far
  bool stopping_ = false;
  int64_t step_ = 0;       // steps of the present epoch that are over
  EpochSums mine_;         // of the present epoch so far
  PendingReport pending_;  // of the epoch whose sums are on their way
  std::vector<float>
      candidate_;            // the parameters after that epoch, if early stopping may want them
  std::vector<float> best_;  // of the lowest validation loss so far
  double best_loss_ = std::numeric_limits<double>::infinity();
  int64_t epochs_without_gain_ = 0;
};

}  // namespace

std::optional<TrainerResult> Train(Algorithm& algorithm, const Problem& problem,
                                   model::Objective& valid, Exchange& exchange,
                                   Generation& generation, const TrainerOptions& options) {
  return Loop(algorithm, problem, valid, exchange, generation, options).Run();
}

}  // namespace lambdaml::train
