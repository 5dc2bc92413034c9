#include "lambdaml/report/run_record.h"

#include <fmt/format.h>
#include <limits>
#include <string_view>
#include <utility>

namespace lambdaml::report {
namespace {

using base::Json;

void SetIfMeasured(Json& json, std::string_view key, const std::optional<double>& value) {
  if (value) json.Set(key, *value);
}

void SetClusterSizes(Json& json, const std::vector<int64_t>& sizes) {
  if (sizes.empty()) return;
  Json numbers = Json::EmptyArray();
  for (const int64_t size : sizes) numbers.Append(size);
  json.Set("cluster_sizes", std::move(numbers));
}

std::vector<int64_t> ReadClusterSizes(const Json& json) {
  std::vector<int64_t> sizes;
  if (const Json* numbers = json.Find("cluster_sizes")) {
    for (const Json& size : numbers->AsArray()) sizes.push_back(size.AsInteger());
  }
  return sizes;
}

std::string TestKey(Objective objective) {
  return fmt::format("test_{}", ObjectiveName(objective));
}

// A record has the one or the other as its result.
Objective ReadObjective(const Json& json) {
  return json.Find("inertia") == nullptr ? Objective::kLoss : Objective::kInertia;
}

void SetExtra(Json& json, const NamedNumbers& extra) {
  if (extra.empty()) return;
  Json numbers = Json::EmptyObject();
  for (const auto& [name, value] : extra) numbers.Set(name, value);
  json.Set("extra", std::move(numbers));
}

// JSON has no infinities: null stands for what is not a finite number.
double NumberOrNan(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.AsNumber();
}

std::optional<double> MeasuredNumber(const Json& json, std::string_view key) {
  const Json* value = json.Find(key);
  if (value == nullptr) return std::nullopt;
  return NumberOrNan(*value);
}

NamedNumbers ReadExtra(const Json& json) {
  NamedNumbers extra;
  if (const Json* numbers = json.Find("extra")) {
    for (const auto& [name, value] : numbers->AsObject()) {
      extra.emplace_back(name, NumberOrNan(value));
    }
  }
  return extra;
}

void CheckEvent(const Json& json, std::string_view event) {
  if (json.At("event").AsString() == event) return;
  throw base::Error(base::ErrorCode::kInvalidData,
                    fmt::format("run record: event \"{}\" where \"{}\" is wanted",
                                json.At("event").AsString(), event));
}

uint64_t Count(const Json& json, std::string_view key) {
  const int64_t value = json.At(key).AsInteger();
  if (value >= 0) return static_cast<uint64_t>(value);
  throw base::Error(base::ErrorCode::kInvalidData,
                    fmt::format("run record: \"{}\" is {}, not a count", key, value));
}

// Of keys that older programs do not write.
uint64_t CountOrZero(const Json& json, std::string_view key) {
  return json.Find(key) == nullptr ? 0 : Count(json, key);
}

Json TimeToJson(const TimeParts& time) {
  Json json = Json::EmptyObject();
  json.Set("startup", time.startup_seconds);
  json.Set("load", time.load_seconds);
  json.Set("compute", time.compute_seconds);
  json.Set("synchronise", time.synchronise_seconds);
  return json;
}

TimeParts TimeFromJson(const Json& json) {
  return {.startup_seconds = json.At("startup").AsNumber(),
          .load_seconds = json.At("load").AsNumber(),
          .compute_seconds = json.At("compute").AsNumber(),
          .synchronise_seconds = json.At("synchronise").AsNumber()};
}

Json CostToJson(const std::vector<CostItem>& cost) {
  Json json = Json::EmptyArray();
  for (const CostItem& item : cost) {
    Json line = Json::EmptyObject();
    line.Set("service", item.service);
    line.Set("dollars", item.is_counted ? Json(item.dollars) : Json());
    json.Append(std::move(line));
  }
  return json;
}

}  // namespace

std::string_view ObjectiveName(Objective objective) {
  return objective == Objective::kInertia ? "inertia" : "loss";
}

Json ToJson(const ServiceUse& use) {
  Json json = Json::EmptyObject();
  json.Set("service", use.service);
  json.Set("get_requests", use.get_requests);
  json.Set("put_requests", use.put_requests);
  json.Set("list_requests", use.list_requests);
  json.Set("delete_requests", use.delete_requests);
  json.Set("bytes_read", use.bytes_read);
  json.Set("bytes_written", use.bytes_written);
  json.Set("retries", use.retries);
  json.Set("read_units", use.read_units);
  json.Set("write_units", use.write_units);
  json.Set("waiting_seconds", use.waiting_seconds);
  return json;
}

ServiceUse ServiceUseFromJson(const Json& json) {
  const Json* waiting = json.Find("waiting_seconds");
  return {.service = json.At("service").AsString(),
          .get_requests = Count(json, "get_requests"),
          .put_requests = Count(json, "put_requests"),
          .list_requests = Count(json, "list_requests"),
          .delete_requests = Count(json, "delete_requests"),
          .bytes_read = Count(json, "bytes_read"),
          .bytes_written = Count(json, "bytes_written"),
          .retries = CountOrZero(json, "retries"),
          .read_units = CountOrZero(json, "read_units"),
          .write_units = CountOrZero(json, "write_units"),
          .waiting_seconds = waiting == nullptr ? 0 : waiting->AsNumber()};
}

Json ToJson(const EpochRecord& record) {
  Json json = Json::EmptyObject();
  json.Set("event", "epoch");
  json.Set("epoch", record.epoch);
  json.Set(ObjectiveName(record.objective), record.loss);
  SetIfMeasured(json, "accuracy", record.accuracy);
  SetIfMeasured(json, "valid_loss", record.valid_loss);
  SetIfMeasured(json, "valid_accuracy", record.valid_accuracy);
  json.Set("seconds", record.seconds);
  json.Set("sync_share", record.sync_share);
  SetExtra(json, record.extra);
  SetClusterSizes(json, record.cluster_sizes);
  return json;
}

Json ToJson(const RunSummary& summary) {
  Json json = Json::EmptyObject();
  json.Set("event", "summary");
  json.Set("model", summary.model);
  json.Set("optim", summary.optim);
  json.Set("sync_mode", summary.sync_mode);
  json.Set("regularizer", summary.regularizer);
  json.Set("lambda", summary.lambda);
  json.Set("platform", summary.platform);
  json.Set("channel", summary.channel);
  json.Set("n_workers", summary.worker_count);
  json.Set("rows", summary.rows);
  json.Set("n_features", summary.n_features);
  json.Set("epochs", summary.epochs);
  json.Set("stopped_by", summary.stopped_by);
  json.Set(ObjectiveName(summary.objective), summary.loss);
  SetIfMeasured(json, "accuracy", summary.accuracy);
  SetIfMeasured(json, "valid_loss", summary.valid_loss);
  SetIfMeasured(json, "valid_accuracy", summary.valid_accuracy);
  SetIfMeasured(json, TestKey(summary.objective), summary.test_loss);
  SetIfMeasured(json, "test_accuracy", summary.test_accuracy);
  SetExtra(json, summary.extra);
  SetClusterSizes(json, summary.cluster_sizes);
  json.Set("wall_seconds", summary.wall_seconds);
  json.Set("seconds", TimeToJson(summary.time));
  json.Set("invocations", summary.invocations);
  json.Set("generations", summary.generations);
  json.Set("restarts", summary.restarts);
  json.Set("memory_mb", summary.memory_mb);
  json.Set("billed_ms", summary.billed_ms);
  json.Set("gb_seconds", summary.gb_seconds);
  Json services = Json::EmptyArray();
  for (const ServiceUse& use : summary.services) services.Append(ToJson(use));
  json.Set("services", std::move(services));
  json.Set("dollars", TotalDollars(summary.cost));
  json.Set("cost", CostToJson(summary.cost));
  json.Set("prices_as_of", summary.prices_as_of);
  json.Set("prices_region", summary.prices_region);
  json.Set("model_path", summary.model_path);
  return json;
}

Json ToJson(const base::Error& error) {
  Json json = Json::EmptyObject();
  json.Set("event", "error");
  json.Set("code", base::ErrorCodeName(error.code()));
  json.Set("message", error.message());
  return json;
}

EpochRecord EpochFromJson(const Json& json) {
  CheckEvent(json, "epoch");
  EpochRecord record;
  record.epoch = json.At("epoch").AsInteger();
  record.objective = ReadObjective(json);
  record.loss = NumberOrNan(json.At(ObjectiveName(record.objective)));
  record.accuracy = MeasuredNumber(json, "accuracy");
  record.valid_loss = MeasuredNumber(json, "valid_loss");
  record.valid_accuracy = MeasuredNumber(json, "valid_accuracy");
  record.seconds = json.At("seconds").AsNumber();
  record.sync_share = json.At("sync_share").AsNumber();
  record.extra = ReadExtra(json);
  record.cluster_sizes = ReadClusterSizes(json);
  return record;
}

RunSummary SummaryFromJson(const Json& json) {
  CheckEvent(json, "summary");
  RunSummary summary;
  summary.model = json.At("model").AsString();
  summary.optim = json.At("optim").AsString();
  summary.sync_mode = json.At("sync_mode").AsString();
  summary.regularizer = json.At("regularizer").AsString();
  summary.lambda = json.At("lambda").AsNumber();
  summary.platform = json.At("platform").AsString();
  summary.channel = json.At("channel").AsString();
  summary.worker_count = json.At("n_workers").AsInteger();
  summary.rows = json.At("rows").AsInteger();
  summary.n_features = json.At("n_features").AsInteger();
  summary.epochs = json.At("epochs").AsInteger();
  summary.stopped_by = json.At("stopped_by").AsString();
  summary.objective = ReadObjective(json);
  summary.loss = NumberOrNan(json.At(ObjectiveName(summary.objective)));
  summary.accuracy = MeasuredNumber(json, "accuracy");
  summary.valid_loss = MeasuredNumber(json, "valid_loss");
  summary.valid_accuracy = MeasuredNumber(json, "valid_accuracy");
  summary.test_loss = MeasuredNumber(json, TestKey(summary.objective));
  summary.test_accuracy = MeasuredNumber(json, "test_accuracy");
  summary.extra = ReadExtra(json);
  summary.cluster_sizes = ReadClusterSizes(json);
  summary.wall_seconds = json.At("wall_seconds").AsNumber();
  summary.time = TimeFromJson(json.At("seconds"));
  summary.invocations = json.At("invocations").AsInteger();
  // Logs of older programs have neither.
  if (const base::Json* count = json.Find("generations")) summary.generations = count->AsInteger();
  if (const base::Json* count = json.Find("restarts")) summary.restarts = count->AsInteger();
  summary.memory_mb = json.At("memory_mb").AsInteger();
  summary.billed_ms = json.At("billed_ms").AsInteger();
  summary.gb_seconds = json.At("gb_seconds").AsNumber();
  for (const Json& use : json.At("services").AsArray()) {
    summary.services.push_back(ServiceUseFromJson(use));
  }
  for (const Json& item : json.At("cost").AsArray()) {
    const Json& dollars = item.At("dollars");
    summary.cost.push_back({.service = item.At("service").AsString(),
                            .dollars = dollars.is_null() ? 0 : dollars.AsNumber(),
                            .is_counted = !dollars.is_null()});
  }
  summary.prices_as_of = json.At("prices_as_of").AsString();
  summary.prices_region = json.At("prices_region").AsString();
  summary.model_path = json.At("model_path").AsString();
  return summary;
}

}  // namespace lambdaml::report
