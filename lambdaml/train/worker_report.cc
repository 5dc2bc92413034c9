#include <utility>

#include "lambdaml/train/worker.h"

namespace lambdaml::train {

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
  json.Set("epochs", report.epochs);
  json.Set("stopped_by", report.stopped_by);
  json.Set("objective", report.objective);
  json.Set("loss", report.loss);
  json.Set("accuracy", report.accuracy);
  json.Set("valid_rows", report.valid_rows);
  json.Set("valid_loss", report.valid_loss);
  json.Set("valid_accuracy", report.valid_accuracy);
  base::Json details = base::Json::EmptyObject();
  for (const auto& [name, value] : report.details) details.Set(name, value);
  json.Set("details", std::move(details));
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
  report.epochs = json.At("epochs").AsInteger();
  report.stopped_by = json.At("stopped_by").AsString();
  report.objective = json.At("objective").AsNumber();
  report.loss = json.At("loss").AsNumber();
  report.accuracy = json.At("accuracy").AsNumber();
  report.valid_rows = json.At("valid_rows").AsInteger();
  report.valid_loss = json.At("valid_loss").AsNumber();
  report.valid_accuracy = json.At("valid_accuracy").AsNumber();
  for (const auto& [name, value] : json.At("details").AsObject()) {
    report.details.emplace_back(name, value.AsNumber());
  }
  return report;
}

}  // namespace lambdaml::train
