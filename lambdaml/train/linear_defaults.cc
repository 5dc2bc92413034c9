#include "lambdaml/train/linear_defaults.h"

#include <algorithm>

#include "lambdaml/base/error.h"

namespace lambdaml::train {
namespace {

using wire::Optim;
using wire::Regularizer;
using wire::SyncMode;

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

void ResolveRegularizer(wire::Job& job) {
  const bool admm = job.optim == Optim::kAdmm;
  if (!job.regularizer) {
    const bool penalised = job.lambda ? *job.lambda > 0 : admm;
    job.regularizer = penalised ? Regularizer::kL2 : Regularizer::kNone;
  }
  if (*job.regularizer == Regularizer::kNone) {
    job.lambda = 0;
  } else if (!job.lambda && !admm) {
    Refuse("--regularizer needs its strength: give --lambda X as well");
  }
}

// A derived learning rate is a safe one; momentum makes up for what it is short of. Asynchronous
// workers' stale steps act like momentum already (Mitliagkas et al. 2016, "Asynchrony begets
// momentum").
void ResolveMomentum(wire::Job& job) {
  if (job.momentum) return;
  const bool derived = !job.lr && job.sync_mode != SyncMode::kAsync;
  job.momentum = derived ? 0.9 : 0;
}

void CheckCombinations(const wire::Job& job) {
  const bool async = job.sync_mode == SyncMode::kAsync;
  if (async && job.optim == Optim::kAdmm) {
    Refuse(
        "--optim admm has no --sync_mode async: its rounds are a consensus; use reduce or "
        "reduce_scatter, or --optim grad_avg");
  }
  if (job.patience > 0 && job.valid_ratio == 0) {
    Refuse("--patience needs validation rows: give --valid_ratio as well");
  }
  if (job.patience > 0 && async) {
    Refuse("--patience needs a synchronous --sync_mode: async workers share no validation loss");
  }
}

}  // namespace

void ResolveLinearJob(wire::Job& job) {
  if (!job.optim) {
    job.optim = job.sync_mode == SyncMode::kAsync ? Optim::kGradAvg : Optim::kAdmm;
  }
  ResolveRegularizer(job);
  ResolveMomentum(job);
  CheckCombinations(job);
  if (!job.n_epochs) job.n_epochs = 10;
}

void SettleLambda(wire::Job& job, int64_t rows) {
  if (!job.lambda) job.lambda = 1 / static_cast<double>(rows);
}

int64_t DefaultBatchSize(int64_t rows_max) {
  return std::clamp<int64_t>(rows_max / 20, 16, 10'000);
}

}  // namespace lambdaml::train
