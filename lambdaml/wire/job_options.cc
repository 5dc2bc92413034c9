#include "lambdaml/wire/job_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <map>
#include <utility>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/base/spelling.h"
#include "lambdaml/wire/job_names.h"

namespace lambdaml::wire {
namespace {

[[noreturn]] void Refuse(std::string_view origin, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", origin, what));
}

struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

// A key's type, place in Job and limits. Each kind reads text and JSON, and writes JSON.
struct TextField {
  std::string Job::*member;
};
struct BoolField {
  bool Job::*member;
};
struct IntegerField {
  std::variant<int64_t Job::*, std::optional<int64_t> Job::*> member;
  Range range;
};
struct NumberField {
  std::variant<double Job::*, std::optional<double> Job::*> member;
  Range range;
};
template <typename E>
struct EnumField {
  std::variant<E Job::*, std::optional<E> Job::*> member;
  const Names<E>* names;
};
using Field = std::variant<TextField, BoolField, IntegerField, NumberField, EnumField<ModelKind>,
                           EnumField<DatasetType>, EnumField<Optim>, EnumField<SyncMode>,
                           EnumField<Regularizer>, EnumField<LrSchedule>, EnumField<LocalSolver>,
                           EnumField<KmeansInit>, EnumField<KeptEpoch>, EnumField<PlatformKind>,
                           EnumField<TriggerKind>, EnumField<MetricsKind>, EnumField<Precision>>;

struct Row {
  JobOption option;
  Field field;
};

void CheckRange(double value, const Range& range, std::string_view origin) {
  if (value >= range.min && value <= range.max) return;
  if (std::isinf(range.max)) Refuse(origin, fmt::format("{} is below {}", value, range.min));
  Refuse(origin, fmt::format("{} is not within {} to {}", value, range.min, range.max));
}

template <typename T, typename MemberVariant>
void Assign(Job& job, const MemberVariant& member, T value) {
  std::visit([&](auto pointer) { job.*pointer = value; }, member);
}

template <typename T>
T ParseNumber(std::string_view text, std::string_view kind, std::string_view origin) {
  T value = {};
  // from_chars knows no plus sign, and would take the minus of "+-1" for the number's own.
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with("+-")) {
    Refuse(origin, fmt::format("\"{}\" is not {}", text, kind));
  }
  return value;
}

void SetText(Job& job, const TextField& field, std::string_view text, std::string_view) {
  job.*field.member = text;
}

void SetText(Job& job, const BoolField& field, std::string_view text, std::string_view origin) {
  if (text != "true" && text != "false") {
    Refuse(origin, fmt::format("\"{}\" is neither true nor false", text));
  }
  job.*field.member = text == "true";
}

void SetText(Job& job, const IntegerField& field, std::string_view text, std::string_view origin) {
  const auto value = ParseNumber<int64_t>(text, "a whole number", origin);
  CheckRange(static_cast<double>(value), field.range, origin);
  Assign(job, field.member, value);
}

void SetText(Job& job, const NumberField& field, std::string_view text, std::string_view origin) {
  const auto value = ParseNumber<double>(text, "a number", origin);
  if (!std::isfinite(value)) Refuse(origin, fmt::format("\"{}\" is not finite", text));
  CheckRange(value, field.range, origin);
  Assign(job, field.member, value);
}

template <typename E>
void SetText(Job& job, const EnumField<E>& field, std::string_view text, std::string_view origin) {
  std::vector<std::string_view> known;
  for (const auto& [value, name] : *field.names) {
    if (name == text) return Assign(job, field.member, value);
    known.push_back(name);
  }
  Refuse(origin, fmt::format("\"{}\" is not one of {}", text, fmt::join(known, ", ")));
}

// The JSON form of the key's value, or null if it is unset.
base::Json Get(const Job& job, const TextField& field) { return job.*field.member; }
base::Json Get(const Job& job, const BoolField& field) { return job.*field.member; }

template <typename T>
base::Json ToJson(const T& value) {
  return value;
}
template <typename T>
base::Json ToJson(const std::optional<T>& value) {
  return value ? base::Json(*value) : base::Json();
}

base::Json Get(const Job& job, const IntegerField& field) {
  return std::visit([&](auto pointer) { return ToJson(job.*pointer); }, field.member);
}
base::Json Get(const Job& job, const NumberField& field) {
  return std::visit([&](auto pointer) { return ToJson(job.*pointer); }, field.member);
}
template <typename E>
base::Json Get(const Job& job, const EnumField<E>& field) {
  if (const auto* plain = std::get_if<E Job::*>(&field.member)) {
    return NameIn(*field.names, job.**plain);
  }
  const std::optional<E>& value = job.*std::get<std::optional<E> Job::*>(field.member);
  return value ? base::Json(NameIn(*field.names, *value)) : base::Json();
}

constexpr Range kPositive = {1, 9e15};
constexpr Range kFraction = {0, 0.9};
constexpr Range kNonNegative = {0, 1e300};
constexpr Range kWorkers = {1, 1000}, kAmount = {0, 1e9};

template <typename Field>
Row MakeRow(std::string_view name, std::string_view alias, OptionGroup group,
            std::string_view placeholder, Field field, std::string_view help) {
  return {{name, alias, group, placeholder, help, {}}, field};
}

template <typename E, typename Member>
Row MakeRow(std::string_view name, OptionGroup group, Member member, const Names<E>& names,
            std::string_view help) {
  Row row = {{name, "", group, "", help, {}}, EnumField<E>{member, &names}};
  for (const auto& [value, value_name] : names) {
    const bool is_alias = value_name != NameIn(names, value);
    if (!is_alias) row.option.choices.push_back(value_name);
  }
  return row;
}

void AddDataRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  rows.push_back(MakeRow("data", "", G::kData, "PLACE", TextField{&Job::data},
                         "libsvm or CIFAR file (.bin), plain, .gz or .zst, or folder of shards"));
  rows.push_back(MakeRow("test", "", G::kData, "PLACE", TextField{&Job::test},
                         "data to evaluate on: the finished model, networks each epoch"));
  rows.push_back(MakeRow("dataset_type", G::kData, &Job::dataset_type, kDatasetTypeNames,
                         "layout in memory [by density]"));
  rows.push_back(MakeRow("index_base", "", G::kData, "0|1", IntegerField{&Job::index_base, {0, 1}},
                         "number of the first feature in libsvm text [1]"));
  rows.push_back(MakeRow("n_features", "", G::kData, "N",
                         IntegerField{&Job::n_features, {1, 2147483647}},
                         "width of the data [largest index found]"));
  rows.push_back(MakeRow("n_classes", "", G::kData, "N", IntegerField{&Job::n_classes, {2, 1000}},
                         "expected number of classes [as found]"));
  rows.push_back(MakeRow("valid_ratio", "", G::kData, "X",
                         NumberField{&Job::valid_ratio, kFraction},
                         "share of each shard held out for validation [0]"));
  rows.push_back(MakeRow("augment", "", G::kData, "true|false", BoolField{&Job::augment},
                         "crop and mirror training images at random [false]"));
}

void AddModelRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  rows.push_back(MakeRow("model", G::kModel, &Job::model, kModelNames, "[lr]"));
  rows.push_back(MakeRow("bias", "", G::kModel, "true|false", BoolField{&Job::bias},
                         "learn an intercept, which is never penalised [true]"));
  rows.push_back(MakeRow("n_clusters", "", G::kModel, "N",
                         IntegerField{&Job::n_clusters, {1, 100'000}}, "clusters of kmeans"));
  rows.push_back(MakeRow("init_model", "", G::kModel, "PLACE", TextField{&Job::init_model},
                         "start from this model"));
  rows.push_back(MakeRow("output", "", G::kModel, "PLACE", TextField{&Job::output},
                         "where the model goes [NAME-OF-DATA.model, .npy, .safetensors]"));
}

void AddAlgorithmRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  rows.push_back(MakeRow("optim", G::kAlgorithm, &Job::optim, kOptimNames,
                         "algorithm [admm; async, networks: grad_avg]"));
  rows.push_back(MakeRow("sync_mode", G::kAlgorithm, &Job::sync_mode, kSyncModeNames,
                         "how workers synchronise [reduce]"));
  rows.push_back(MakeRow("n_epochs", "", G::kAlgorithm, "N",
                         IntegerField{&Job::n_epochs, kPositive},
                         "passes over the data; ADMM with sgd: per round [10; kmeans: 300]"));
  rows.push_back(MakeRow("batch_size", "", G::kAlgorithm, "N",
                         IntegerField{&Job::batch_size, {0, 9e15}},
                         "rows per step and worker; 0: all [a 20th; kmeans: 0; networks: 64]"));
  rows.push_back(MakeRow("lr", "", G::kAlgorithm, "X", NumberField{&Job::lr, kNonNegative},
                         "learning rate [from the data's curvature; networks: 0.05]"));
  rows.push_back(MakeRow("lr_schedule", G::kAlgorithm, &Job::lr_schedule, kLrScheduleNames,
                         "how the rate falls [constant]"));
  rows.push_back(MakeRow("momentum", "", G::kAlgorithm, "X",
                         NumberField{&Job::momentum, {0, 0.9999}},
                         "heavy-ball momentum [0.9 if the rate is derived, and for networks]"));
  rows.push_back(MakeRow("regularizer", G::kAlgorithm, &Job::regularizer, kRegularizerNames,
                         "penalty R(w) [l2 with ADMM, networks or --lambda]"));
  rows.push_back(MakeRow("lambda", "", G::kAlgorithm, "X", NumberField{&Job::lambda, kNonNegative},
                         "strength of mean loss + lambda * R(w) [ADMM: 1/rows]"));
  rows.push_back(MakeRow("n_admm_epochs", "", G::kAlgorithm, "N",
                         IntegerField{&Job::n_admm_epochs, kPositive}, "most ADMM rounds [100]"));
  rows.push_back(MakeRow("rho", "", G::kAlgorithm, "X", NumberField{&Job::rho, {1e-12, 1e12}},
                         "ADMM's penalty, then kept fixed [adapted to the residuals]"));
  rows.push_back(MakeRow("local_solver", G::kAlgorithm, &Job::local_solver, kLocalSolverNames,
                         "ADMM's local step; exact: L-BFGS (lr), dual (svm) [exact]"));
  rows.push_back(MakeRow("tolerance", "", G::kAlgorithm, "X", NumberField{&Job::tolerance, {0, 1}},
                         "ADMM stops when both relative residuals are below [0.0002]"));
  rows.push_back(MakeRow("init", G::kAlgorithm, &Job::init, kKmeansInitNames,
                         "first centroids of kmeans [the last]"));
  rows.push_back(MakeRow("threshold", "", G::kAlgorithm, "X",
                         NumberField{&Job::threshold, kNonNegative},
                         "kmeans stops when centroids move less on average [0]"));
  rows.push_back(MakeRow("patience", "", G::kAlgorithm, "N",
                         IntegerField{&Job::patience, {0, 9e15}},
                         "stop after N epochs without better validation loss [0: never]"));
  rows.push_back(MakeRow("keep", G::kAlgorithm, &Job::keep, kKeptEpochNames,
                         "epoch whose network is the model [best with --valid_ratio]"));
  rows.push_back(MakeRow("seed", "", G::kAlgorithm, "N", IntegerField{&Job::seed, {0, 9e15}},
                         "of everything random [0]"));
}

void AddFunctionRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  rows.push_back(MakeRow("workers", "n_workers", G::kFunctions, "N",
                         IntegerField{&Job::n_workers, kWorkers}, "worker functions [4]"));
  rows.push_back(MakeRow("channel", "", G::kFunctions, "URL", TextField{&Job::channel},
                         "what workers synchronise through [a folder in memory]"));
  rows.push_back(MakeRow("exchange", G::kDetails, &Job::exchange, kPrecisionNames,
                         "how networks' gradients travel [float32]"));
  rows.push_back(MakeRow("platform", G::kFunctions, &Job::platform, kPlatformNames,
                         "where functions run [local]"));
  rows.push_back(MakeRow("trigger", G::kDetails, &Job::trigger, kTriggerNames,
                         "what starts the workers and waits for them [local]"));
  rows.push_back(MakeRow("metrics", G::kDetails, &Job::metrics, kMetricsNames,
                         "what workers measure, to their log [none]"));
  rows.push_back(MakeRow("function_url", "", G::kFunctions, "URL", TextField{&Job::function_url},
                         "of the functions of --platform http"));
  rows.push_back(MakeRow("run_folder", "", G::kDetails, "URL", TextField{&Job::run_folder},
                         "what aws and http functions share with the trigger [as deployed]"));
  rows.push_back(MakeRow("max_cost", "", G::kFunctions, "X", NumberField{&Job::max_cost, kAmount},
                         "stop at this cost in dollars [0: never]"));
  rows.push_back(MakeRow("deadline", "", G::kFunctions, "S", NumberField{&Job::deadline_s, kAmount},
                         "stop after so many seconds [0: never]"));
  rows.push_back(MakeRow("memory_mb", "", G::kFunctions, "N",
                         IntegerField{&Job::memory_mb, {128, 10240}},
                         "memory of a function; 1769 MB buy one CPU [1769]"));
  rows.push_back(MakeRow("timeout", "", G::kFunctions, "S", NumberField{&Job::timeout_s, {1, 900}},
                         "longest run of a function in seconds [900]"));
  rows.push_back(MakeRow("round_timeout", "", G::kDetails, "S",
                         NumberField{&Job::round_timeout_s, {0.1, 900}},
                         "longest wait for a peer in a round, in seconds [300]"));
  rows.push_back(MakeRow("start_timeout", "", G::kDetails, "S",
                         NumberField{&Job::start_timeout_s, {0.1, 900}},
                         "longest wait for all workers to arrive, in seconds [60]"));
  rows.push_back(MakeRow("checkpoint", "", G::kFunctions, "URL", TextField{&Job::checkpoint},
                         "where the run's state is saved [OUTPUT.checkpoint]"));
  rows.push_back(MakeRow("resume", "", G::kFunctions, "URL", TextField{&Job::resume},
                         "go on with the run saved there"));
  rows.push_back(MakeRow("checkpoint_every", "", G::kDetails, "N",
                         IntegerField{&Job::checkpoint_every, kPositive},
                         "save each N epochs [each minute]"));
  rows.push_back(MakeRow("max_restarts", "", G::kDetails, "N",
                         IntegerField{&Job::max_restarts, {0, 1000}},
                         "how often a worker may fail and start again [3]"));
  rows.push_back(MakeRow("region", "", G::kDetails, "NAME", TextField{&Job::region},
                         "AWS region of S3 and DynamoDB [as the AWS tools find it]"));
  rows.push_back(MakeRow("endpoint_url", "", G::kDetails, "URL", TextField{&Job::endpoint_url},
                         "other server for S3 and DynamoDB [AWS's own]"));
  rows.push_back(MakeRow("cache_node", "", G::kDetails, "TYPE", TextField{&Job::cache_node},
                         "type of the channel's node (ElastiCache; EC2 for ps://), for its cost"));
  rows.push_back(MakeRow("prices", "", G::kDetails, "FILE", TextField{&Job::prices},
                         "price file for the cost figures [built in]"));
  rows.push_back(MakeRow("log", "", G::kFunctions, "FILE", TextField{&Job::log},
                         "write the run as JSON lines"));
}

void AddLambdamlRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  const auto text = [&](std::string_view name, std::string Job::*member, std::string_view help) {
    rows.push_back(MakeRow(name, "", G::kLambdaml, "NAME", TextField{member}, help));
  };
  text("function_name", &Job::function_name, "the worker function [lambdaml]");
  text("dataset", &Job::dataset, "folder of shards in data_bucket");
  text("data_bucket", &Job::data_bucket, "bucket, URL or folder that holds the data");
  text("file", &Job::file, "shard of one worker; derived here");
  text("train_file", &Job::train_file, "training data in data_bucket");
  text("test_file", &Job::test_file, "test data in data_bucket");
  text("tmp_bucket", &Job::tmp_bucket, "bucket, URL or folder of the channel");
  text("merged_bucket", &Job::merged_bucket, "second bucket of the channel; not needed here");
  text("cp_bucket", &Job::cp_bucket, "bucket of checkpoints");
  text("host", &Job::host, "host of the channel's server");
  rows.push_back(MakeRow("port", "", G::kLambdaml, "N", IntegerField{&Job::port, {1, 65535}},
                         "port of the channel's server"));
  text("tmp_table_name", &Job::tmp_table_name, "DynamoDB table of the channel");
  text("merged_table_name", &Job::merged_table_name, "second DynamoDB table");
  text("key_col", &Job::key_col, "key column of the tables");
  rows.push_back(MakeRow("start_epoch", "", G::kLambdaml, "N",
                         IntegerField{&Job::start_epoch, {0, 9e15}}, "first epoch"));
  rows.push_back(MakeRow("run_epochs", "", G::kLambdaml, "N",
                         IntegerField{&Job::run_epochs, kPositive}, "epochs per invocation"));
}

void AddInternalRows(std::vector<Row>& rows) {
  using G = OptionGroup;
  rows.push_back(MakeRow("job_id", "", G::kInternal, "NAME", TextField{&Job::job_id}, "run id"));
  rows.push_back(MakeRow("worker_index", "", G::kInternal, "N",
                         IntegerField{&Job::worker_index, {0, 999}}, "rank of the worker"));
  rows.push_back(MakeRow("model_url", "", G::kInternal, "URL", TextField{&Job::model_url},
                         "where rank 0 leaves the model"));
  rows.push_back(MakeRow("generation", "", G::kInternal, "N",
                         IntegerField{&Job::generation, {0, 9e15}}, "invocation of the rank"));
  rows.push_back(MakeRow("attempt", "", G::kInternal, "N", IntegerField{&Job::attempt, kPositive},
                         "attempt at that invocation"));
  rows.push_back(MakeRow("architecture", "", G::kInternal, "NAME", TextField{&Job::architecture},
                         "of the functions, for their price"));
  rows.push_back(MakeRow("is_watched", "", G::kInternal, "true|false", BoolField{&Job::is_watched},
                         "whether the run's store says that the job is still wanted"));
  rows.push_back(MakeRow("ends_at_ms", "", G::kInternal, "N",
                         IntegerField{&Job::ends_at_ms, {0, 9e15}}, "when its trigger must end"));
  rows.push_back(MakeRow("origin", "", G::kInternal, "JSON", TextField{&Job::origin},
                         "the job as the trigger was given it"));
}

const std::vector<Row>& Rows() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    AddDataRows(all);
    AddModelRows(all);
    AddAlgorithmRows(all);
    AddFunctionRows(all);
    AddLambdamlRows(all);
    AddInternalRows(all);
    return all;
  }();
  return rows;
}

const Row& FindRow(std::string_view name, std::string_view origin) {
  std::vector<std::string_view> known;
  for (const Row& row : Rows()) {
    for (const std::string_view candidate : {row.option.name, row.option.alias}) {
      if (candidate.empty()) continue;
      if (candidate == name) return row;
      known.push_back(candidate);
    }
  }
  std::string what = fmt::format("unknown key \"{}\"", name);
  const std::string_view closest = base::ClosestSpelling(name, known);
  if (!closest.empty()) what += fmt::format("; did you mean \"{}\"?", closest);
  Refuse(origin, what);
}

// The text of a JSON scalar, for keys whose text form decides.
std::string ScalarText(const base::Json& value, std::string_view origin) {
  if (value.is_string()) return value.AsString();
  if (value.is_bool() || value.is_number()) return value.Dump();
  Refuse(origin, "must be a single value");
}

}  // namespace

std::span<const JobOption> JobOptions() {
  static const std::vector<JobOption> options = [] {
    std::vector<JobOption> all;
    for (const Row& row : Rows()) all.push_back(row.option);
    return all;
  }();
  return options;
}

std::string_view OptionNameOf(std::string_view key, std::string_view origin) {
  return FindRow(key, origin).option.name;
}

void SetOptionFromText(Job& job, std::string_view name, std::string_view text,
                       std::string_view origin) {
  std::visit([&](const auto& field) { SetText(job, field, text, origin); },
             FindRow(name, origin).field);
}

void SetOptionFromJson(Job& job, std::string_view name, const base::Json& value,
                       std::string_view origin) {
  const Row& row = FindRow(name, origin);
  if (value.is_null()) return;
  const bool wants_text = std::holds_alternative<TextField>(row.field);
  if (wants_text && !value.is_string()) Refuse(origin, "must be a string");
  if (value.is_number() && std::holds_alternative<IntegerField>(row.field)) {
    // 10.0 is a whole number in JSON; its text would not be.
    if (!value.is_integer()) {
      const double number = value.AsNumber();
      if (std::floor(number) != number || std::abs(number) > 9e15) {
        Refuse(origin, fmt::format("{} is not a whole number", number));
      }
      return SetOptionFromText(job, name, std::to_string(static_cast<int64_t>(number)), origin);
    }
  }
  SetOptionFromText(job, name, ScalarText(value, origin), origin);
}

base::Json JobToJson(const Job& job) {
  const Job defaults;
  base::Json json = base::Json::EmptyObject();
  for (const Row& row : Rows()) {
    const auto get = [&](const Job& from) {
      return std::visit([&](const auto& field) { return Get(from, field); }, row.field);
    };
    base::Json value = get(job);
    // With n_clusters a missing model would mean kmeans.
    const bool is_needed = job.n_clusters && row.option.name == "model";
    if (!is_needed && value.Dump() == get(defaults).Dump()) continue;
    json.Set(row.option.alias.empty() ? row.option.name : row.option.alias, std::move(value));
  }
  return json;
}

Job JobFromJson(const base::Json& json, std::string_view origin) {
  if (!json.is_object()) Refuse(origin, "a job is a JSON object");
  Job job;
  std::map<std::string_view, std::string_view> given;  // an option's name, and the key that set it
  for (const auto& [key, value] : json.AsObject()) {
    const std::string place = fmt::format("{}: {}", origin, key);
    const auto [other, is_new] = given.emplace(OptionNameOf(key, place), key);
    if (!is_new) Refuse(place, fmt::format("given twice, the other time as \"{}\"", other->second));
    SetOptionFromJson(job, key, value, place);
  }
  if (given.contains("n_clusters") && !given.contains("model")) job.model = ModelKind::kKmeans;
  return job;
}

std::string_view NameOf(ModelKind value) { return NameIn(kModelNames, value); }
std::string_view NameOf(DatasetType value) { return NameIn(kDatasetTypeNames, value); }
std::string_view NameOf(Optim value) { return NameIn(kOptimNames, value); }
std::string_view NameOf(SyncMode value) { return NameIn(kSyncModeNames, value); }
std::string_view NameOf(Regularizer value) { return NameIn(kRegularizerNames, value); }
std::string_view NameOf(LrSchedule value) { return NameIn(kLrScheduleNames, value); }
std::string_view NameOf(LocalSolver value) { return NameIn(kLocalSolverNames, value); }
std::string_view NameOf(KmeansInit value) { return NameIn(kKmeansInitNames, value); }
std::string_view NameOf(KeptEpoch value) { return NameIn(kKeptEpochNames, value); }
std::string_view NameOf(PlatformKind value) { return NameIn(kPlatformNames, value); }
std::string_view NameOf(Precision value) { return NameIn(kPrecisionNames, value); }

}  // namespace lambdaml::wire
