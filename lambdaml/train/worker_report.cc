#include "lambdaml/train/worker_report.h"

#include <string_view>
#include <utility>

namespace lambdaml::train {
namespace {

void SetIfMeasured(base::Json& json, std::string_view key, const std::optional<double>& value) {
  if (value) json.Set(key, *value);
}

std::optional<double> MeasuredNumber(const base::Json& json, std::string_view key) {
  const base::Json* value = json.Find(key);
  return value == nullptr ? std::nullopt : std::optional(value->AsNumber());
}

}  // namespace

base::Json ToJson(const TrainingOutcome& outcome) {
  base::Json json = base::Json::EmptyObject();
  json.Set("epochs", outcome.epochs);
  json.Set("stopped_by", outcome.stopped_by);
  json.Set("loss", outcome.loss);
  SetIfMeasured(json, "accuracy", outcome.accuracy);
  SetIfMeasured(json, "valid_loss", outcome.valid_loss);
  SetIfMeasured(json, "valid_accuracy", outcome.valid_accuracy);
  base::Json details = base::Json::EmptyObject();
  for (const auto& [name, value] : outcome.details) details.Set(name, value);
  json.Set("details", std::move(details));
  base::Json sizes = base::Json::EmptyArray();
  for (const int64_t size : outcome.cluster_sizes) sizes.Append(size);
  json.Set("cluster_sizes", std::move(sizes));
  return json;
}

TrainingOutcome OutcomeFromJson(const base::Json& json) {
  TrainingOutcome outcome;
  outcome.epochs = json.At("epochs").AsInteger();
  outcome.stopped_by = json.At("stopped_by").AsString();
  outcome.loss = json.At("loss").AsNumber();
  outcome.accuracy = MeasuredNumber(json, "accuracy");
  outcome.valid_loss = MeasuredNumber(json, "valid_loss");
  outcome.valid_accuracy = MeasuredNumber(json, "valid_accuracy");
  for (const auto& [name, value] : json.At("details").AsObject()) {
    outcome.details.emplace_back(name, value.AsNumber());
  }
  for (const base::Json& size : json.At("cluster_sizes").AsArray()) {
    outcome.cluster_sizes.push_back(size.AsInteger());
  }
  return outcome;
}

base::Json ToJson(const WorkerReport& report) {
  base::Json json = base::Json::EmptyObject();
  json.Set("rank", report.rank);
  json.Set("started_epoch_ms", report.started_epoch_ms);
  json.Set("load_seconds", report.load_seconds);
  json.Set("compute_seconds", report.compute_seconds);
  json.Set("synchronise_seconds", report.synchronise_seconds);
  json.Set("resident_bytes_max", report.resident_bytes_max);
  json.Set("rows", report.rows);
  base::Json uses = base::Json::EmptyArray();
  for (const report::ServiceUse& use : report.uses) uses.Append(report::ToJson(use));
  json.Set("uses", std::move(uses));
  json.Set("is_finished", report.is_finished);
  json.Set("outcome", ToJson(report.outcome));
  return json;
}

WorkerReport WorkerReportFromJson(const base::Json& json) {
  WorkerReport report;
  report.rank = json.At("rank").AsInteger();
  report.started_epoch_ms = json.At("started_epoch_ms").AsInteger();
  report.load_seconds = json.At("load_seconds").AsNumber();
  report.compute_seconds = json.At("compute_seconds").AsNumber();
  report.synchronise_seconds = json.At("synchronise_seconds").AsNumber();
  report.resident_bytes_max = static_cast<uint64_t>(json.At("resident_bytes_max").AsInteger());
  report.rows = json.At("rows").AsInteger();
  for (const base::Json& use : json.At("uses").AsArray()) {
    report.uses.push_back(report::ServiceUseFromJson(use));
  }
  report.is_finished = json.At("is_finished").AsBool();
  report.outcome = OutcomeFromJson(json.At("outcome"));
  return report;
}

}  // namespace lambdaml::train
