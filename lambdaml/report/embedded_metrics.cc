#include "lambdaml/report/embedded_metrics.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

constexpr std::string_view kNamespace = "LambdaML";

// The values of a line, and the list that makes metrics of some of them.
class Line {
 public:
  void AddMetric(std::string_view name, std::string_view unit, std::optional<double> value) {
    if (!value || !std::isfinite(*value)) return;
    base::Json definition = base::Json::EmptyObject();
    definition.Set("Name", name);
    definition.Set("Unit", unit);
    definitions_.Append(std::move(definition));
    values_.Set(name, *value);
  }

  void AddProperty(std::string_view name, base::Json value) { values_.Set(name, std::move(value)); }

  std::string Dump(int64_t time_epoch_ms) && {
    base::Json directive = base::Json::EmptyObject();
    directive.Set("Namespace", kNamespace);
    directive.Set("Dimensions", base::Json::Array{base::Json::Array{base::Json("Model")}});
    directive.Set("Metrics", std::move(definitions_));
    base::Json metadata = base::Json::EmptyObject();
    metadata.Set("Timestamp", time_epoch_ms);
    metadata.Set("CloudWatchMetrics", base::Json::Array{std::move(directive)});
    values_.Set("_aws", std::move(metadata));
    return values_.Dump();
  }

 private:
  base::Json values_ = base::Json::EmptyObject();
  base::Json definitions_ = base::Json::EmptyArray();
};

}  // namespace

std::string ToEmbeddedMetrics(const WorkerMetrics& metrics) {
  Line line;
  line.AddProperty("Model", metrics.model);
  line.AddProperty("Job", metrics.job_id);
  line.AddProperty("Rank", metrics.rank);
  line.AddProperty("Generation", metrics.generation);
  line.AddProperty("Attempt", metrics.attempt);
  line.AddProperty("Epoch", metrics.epoch);
  line.AddMetric("Loss", "None", metrics.loss);
  line.AddMetric("Accuracy", "None", metrics.accuracy);
  line.AddMetric("EpochTime", "Seconds", metrics.epoch_seconds);
  line.AddMetric("RoundTime", "Milliseconds", metrics.round_ms);
  line.AddMetric("BytesRead", "Bytes", static_cast<double>(metrics.bytes_read));
  line.AddMetric("BytesWritten", "Bytes", static_cast<double>(metrics.bytes_written));
  return std::move(line).Dump(metrics.time_epoch_ms);
}

}  // namespace lambdaml::report
