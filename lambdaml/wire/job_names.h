// How the values of a job's enumerations are written, on command lines and in payloads: tables for
// job_options.cc. The first name of a value is its own, others are aliases.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/check.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::wire {

template <typename E>
using Names = std::vector<std::pair<E, std::string_view>>;

extern const Names<ModelKind> kModelNames;
extern const Names<DatasetType> kDatasetTypeNames;
extern const Names<Optim> kOptimNames;
extern const Names<SyncMode> kSyncModeNames;
extern const Names<Regularizer> kRegularizerNames;
extern const Names<LrSchedule> kLrScheduleNames;
extern const Names<LocalSolver> kLocalSolverNames;
extern const Names<KmeansInit> kKmeansInitNames;
extern const Names<KeptEpoch> kKeptEpochNames;
extern const Names<PlatformKind> kPlatformNames;
extern const Names<TriggerKind> kTriggerNames;
extern const Names<MetricsKind> kMetricsNames;
extern const Names<Precision> kPrecisionNames;

template <typename E>
std::string_view NameIn(const Names<E>& names, E value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) return name;
  }
  LAMBDAML_CHECK(false && "an enumeration's value without a name");
  return {};
}

}  // namespace lambdaml::wire
