#include "lambdaml/train/run_summary.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/units.h"
#include "lambdaml/store/store_url.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

report::Architecture ArchitectureOf(const wire::Job& job) {
  return job.architecture == "arm64" ? report::Architecture::kArm : report::Architecture::kX86;
}

void AddTimes(const RunFigures& figures, report::RunSummary& summary) {
  const auto share = 1 / static_cast<double>(figures.workers.size());
  for (const WorkerReport& worker : figures.workers) {
    summary.rows += worker.rows;
    const auto startup_ms = static_cast<double>(worker.started_epoch_ms - figures.invoked_epoch_ms);
    summary.time.startup_seconds += share * std::max(0.0, startup_ms) / 1000;
    summary.time.load_seconds += share * worker.load_seconds;
    summary.time.compute_seconds += share * worker.compute_seconds;
    summary.time.synchronise_seconds += share * worker.synchronise_seconds;
  }
}

void AddCost(const wire::Job& job, const RunFigures& figures, const report::Prices& prices,
             report::RunSummary& summary) {
  for (const report::Invocation& invocation : figures.invocations) {
    summary.billed_ms += invocation.billed_ms;
  }
  std::map<std::string, report::ServiceUse> uses;
  const auto add = [&](const report::ServiceUse& use) {
    report::ServiceUse& total = uses[use.service];
    total.service = use.service;
    total += use;
  };
  for (const WorkerReport& worker : figures.workers) std::ranges::for_each(worker.uses, add);
  std::ranges::for_each(figures.uses, add);
  for (const auto& [service, use] : uses) summary.services.push_back(use);
  summary.invocations = static_cast<int64_t>(figures.invocations.size());
  summary.gb_seconds = report::GbSeconds(figures.invocations);
  summary.cost = report::CostOf(prices, ArchitectureOf(job), figures.invocations, summary.services,
                                CacheNodesOf(job, figures.seconds));
  summary.prices_as_of = prices.as_of;
  summary.prices_region = prices.region;
}

}  // namespace

report::Prices PricesOf(const wire::Job& job) {
  if (job.prices.empty()) return report::Prices::Embedded();
  return report::Prices::Parse(base::MapFile(job.prices).text(), job.prices);
}

std::optional<report::CacheNodes> CacheNodesOf(const wire::Job& job, double seconds) {
  if (job.cache_node.empty()) return std::nullopt;
  const store::StoreUrl url = store::StoreUrl::Parse(job.channel);
  const auto count = static_cast<int64_t>(std::ranges::count(url.authority, ',') + 1);
  return report::CacheNodes{.type = job.cache_node, .count = count, .seconds = seconds};
}

void CheckPrices(const wire::Job& job, const report::Prices& prices, std::string_view service) {
  const report::ServiceUse use = {.service = std::string(service)};
  report::CostOf(prices, ArchitectureOf(job), {}, std::span(&use, 1), CacheNodesOf(job, 0));
}

double DollarsSoFar(const wire::Job& job, const report::Prices& prices,
                    std::span<const report::Invocation> invocations, double seconds) {
  return report::TotalDollars(
      report::CostOf(prices, ArchitectureOf(job), invocations, {}, CacheNodesOf(job, seconds)));
}

void CheckLimits(const wire::Job& job, double seconds, const std::function<double()>& dollars,
                 const std::function<std::string()>& hint) {
  if (job.deadline_s > 0 && seconds > job.deadline_s) {
    throw base::Error(base::ErrorCode::kDeadlineExceeded,
                      fmt::format("the run has taken its --deadline of {} s and was stopped{}",
                                  job.deadline_s, hint()));
  }
  if (job.max_cost <= 0) return;
  const double cost = dollars();
  if (cost <= job.max_cost) return;
  throw base::Error(base::ErrorCode::kResourceExhausted,
                    fmt::format("the functions have cost {}, more than --max_cost {}, and were "
                                "stopped{}",
                                base::FormatDollars(cost), job.max_cost, hint()));
}

void Summarise(const wire::Job& job, const RunFigures& figures, const report::Prices& prices,
               report::RunSummary& summary) {
  const TrainingOutcome& outcome = figures.workers.front().outcome;
  summary.model = wire::NameOf(job.model);
  summary.sync_mode = wire::NameOf(job.sync_mode);
  summary.platform = wire::NameOf(job.platform);
  summary.worker_count = job.n_workers;
  summary.epochs = outcome.epochs;
  summary.stopped_by = outcome.stopped_by;
  summary.loss = outcome.loss;
  summary.accuracy = outcome.accuracy;
  summary.valid_loss = outcome.valid_loss;
  summary.valid_accuracy = outcome.valid_accuracy;
  summary.extra = outcome.details;
  summary.cluster_sizes = outcome.cluster_sizes;
  summary.model_path = job.output;
  summary.memory_mb = job.memory_mb;
  summary.generations = figures.generations;
  summary.restarts = figures.restarts;
  AddTimes(figures, summary);
  AddCost(job, figures, prices, summary);
}

}  // namespace lambdaml::train
