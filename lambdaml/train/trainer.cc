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
       const TrainerOptions& options)
      : algorithm_(algorithm),
        problem_(problem),
        valid_(valid),
        exchange_(exchange),
        options_(options) {}

  TrainerResult Run() {
    TrainerResult result;
    result.stopped_by = "n_epochs";
    while (result.epochs < options_.epochs_max) {
      const EpochSums mine = RunEpoch(result.epochs);
      // The sums of the epoch before came with this epoch's first round.
      const bool stop = OnSums(result);
      ++result.epochs;
      Finish(result.epochs, mine);
      if (stop) break;
    }
    if (options_.synchronous) {
      exchange_.Flush();
      OnSums(result);
    } else {
      exchange_.Sum({}, {});  // nobody changes the shared model any more
    }
    algorithm_.Settle();
    return Conclude(std::move(result));
  }

 private:
  EpochSums RunEpoch(int64_t epoch) {
    const base::TimePoint start = base::SystemClock().Now();
    const base::Duration communicating = options_.communicating();
    EpochSums mine;
    mine.train = algorithm_.RunEpoch(epoch);
    mine.valid = valid_.Evaluate({0, valid_.rows()}, algorithm_.parameters());
    mine.seconds = base::Seconds(base::SystemClock().Now() - start);
    mine.communicating_s = base::Seconds(options_.communicating() - communicating);
    return mine;
  }

  // Hands the epoch's sums to the next round, with what is needed to report them then.
  void Finish(int64_t epoch, EpochSums mine) {
    algorithm_.AddSums(mine);
    const std::span<const float> w = algorithm_.parameters();
    pending_ = {epoch, problem_.regularizer.Value(w, problem_.objective.penalised())};
    if (!options_.synchronous) {
      Report(mine, 1);
      return;
    }
    if (options_.patience > 0) candidate_.assign(w.begin(), w.end());
    exchange_.Attach(mine);
  }

  // True if a stopping rule is met by the sums that have come in, if any have.
  bool OnSums(TrainerResult& result) {
    const std::optional<EpochSums> sums = exchange_.TakeSums();
    if (!sums) return false;
    const bool converged = algorithm_.OnSums(*sums);
    Report(*sums, exchange_.worker_count());
    const bool out_of_patience = OutOfPatience(*sums);
    if (result.stopped_by != "n_epochs") return true;  // these are the sums of one epoch more
    if (converged) {
      result.stopped_by = "convergence";
    } else if (out_of_patience) {
      result.stopped_by = "early_stopping";
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

  TrainerResult Conclude(TrainerResult result) {
    const std::span<const float> last = algorithm_.parameters();
    result.parameters = best_.empty() ? std::vector<float>(last.begin(), last.end()) : best_;
    const std::span<const float> w = result.parameters;
    EpochSums mine;
    mine.train = problem_.objective.Evaluate({0, problem_.objective.rows()}, w);
    mine.valid = valid_.Evaluate({0, valid_.rows()}, w);
    exchange_.Attach(mine);
    exchange_.Flush();
    const EpochSums sums = exchange_.TakeSums().value();
    result.train = sums.train;
    result.valid = sums.valid;
    result.objective = sums.train.loss_sum / static_cast<double>(sums.train.rows) +
                       problem_.regularizer.Value(w, problem_.objective.penalised());
    // The last steps may have done what no epoch has seen.
    if (!std::isfinite(result.objective)) ThrowDiverged("the finished model");
    result.details = algorithm_.Details();
    return result;
  }

  struct PendingReport {
    int64_t epoch = 0;
    double penalty = 0;
  };

  Algorithm& algorithm_;
  const Problem& problem_;
  model::Objective& valid_;
  Exchange& exchange_;
  const TrainerOptions& options_;

  PendingReport pending_;  // of the epoch whose sums are on their way
  std::vector<float>
      candidate_;            // the parameters after that epoch, if early stopping may want them
  std::vector<float> best_;  // of the lowest validation loss so far
  double best_loss_ = std::numeric_limits<double>::infinity();
  int64_t epochs_without_gain_ = 0;
};

}  // namespace

TrainerResult Train(Algorithm& algorithm, const Problem& problem, model::Objective& valid,
                    Exchange& exchange, const TrainerOptions& options) {
  return Loop(algorithm, problem, valid, exchange, options).Run();
}

}  // namespace lambdaml::train
