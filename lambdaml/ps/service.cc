#include "lambdaml/ps/service.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/log.h"

namespace lambdaml::ps {
namespace {

constexpr size_t kSamplesMax = 10;  // rates are means over about that many seconds

base::Json RanksToJson(const std::vector<int>& ranks) {
  base::Json json = base::Json::EmptyArray();
  for (const int rank : ranks) json.Append(rank);
  return json;
}

base::Json ToJson(const JobStatus& job) {
  base::Json json;
  json.Set("job", job.name);
  json.Set("workers", job.worker_count);
  json.Set("generation", job.round.generation);
  json.Set("round", job.round.round);
  json.Set("rounds_finished", job.rounds_finished);
  json.Set("rounds_kept", job.rounds_kept);
  json.Set("waiting", job.waiting);
  json.Set("missing_ranks", RanksToJson(job.missing_ranks));
  json.Set("merges", job.merges);
  json.Set("model_length", job.model_length);
  json.Set("idle_seconds", job.idle_seconds);
  json.Set("journal_bytes", job.journal_bytes);
  return json;
}

base::Json ToJson(const LambdamlModelStatus& model) {
  base::Json json;
  json.Set("model", model.id);
  json.Set("workers", model.parallelism);
  json.Set("iteration", model.iteration);
  json.Set("pulls", model.pulls);
  json.Set("pushes", model.pushes);
  json.Set("length", model.length);
  json.Set("idle_seconds", model.idle_seconds);
  return json;
}

// Text of a label's value: "\\", "\"" and line ends escaped.
std::string Label(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return text;
}

class MetricsText {
 public:
  template <typename Number>
  void Add(std::string_view name, std::string_view type, std::string_view help, Number value) {
    Begin(name, type, help);
    text_ += fmt::format("lambdaml_ps_{} {}\n", name, value);
  }
  void Begin(std::string_view name, std::string_view type, std::string_view help) {
    text_ +=
        fmt::format("# HELP lambdaml_ps_{0} {2}\n# TYPE lambdaml_ps_{0} {1}\n", name, type, help);
  }
  template <typename Number>
  void AddOf(std::string_view name, std::string_view job, Number value) {
    text_ += fmt::format("lambdaml_ps_{}{{job=\"{}\"}} {}\n", name, Label(job), value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

Service::Service(ServiceOptions options)
    : options_(std::move(options)),
      started_(base::SystemClock().Now()),
      budget_(options_.memory_max_bytes),
      jobs_({.folder = options_.folder, .jobs_max = options_.jobs_max}, budget_),
      models_(options_.folder, options_.jobs_max, budget_) {}

void Service::Expire(base::Duration idle_max) {
  const base::TimePoint moment = base::SystemClock().Now() - idle_max;
  for (const std::string& name : jobs_.Expire(moment)) {
    base::Log(base::LogLevel::kInfo, fmt::format("ps event=expired job={}", name));
  }
  for (const std::string& id : models_.Expire(moment)) {
    base::Log(base::LogLevel::kInfo, fmt::format("ps event=expired model=\"{}\"", Label(id)));
  }
}

Service::Sample Service::TakeSample() const {
  return {.at = base::SystemClock().Now(),
          .bytes_received = transport_meter_.bytes_received.load(),
          .bytes_sent = transport_meter_.bytes_sent.load(),
          .calls = counters_.calls.load()};
}

void Service::SampleRates() {
  const std::lock_guard lock(mutex_);
  samples_.push_back(TakeSample());
  if (samples_.size() > kSamplesMax) samples_.erase(samples_.begin());
}

base::Json Service::Status() const {
  const Sample now = TakeSample();
  Sample before = {.at = started_};
  {
    const std::lock_guard lock(mutex_);
    if (!samples_.empty()) before = samples_.front();
  }
  const double seconds = std::max(base::Seconds(now.at - before.at), 1e-3);
  const auto rate = [seconds](uint64_t from, uint64_t to) {
    return static_cast<double>(to - from) / seconds;
  };
  base::Json json;
  json.Set("uptime_seconds", base::Seconds(now.at - started_));
  json.Set("is_stopping", jobs_.is_draining());
  json.Set("connections", counters_.connections_open.load());
  json.Set("connections_refused", counters_.connections_refused.load());
  json.Set("calls", now.calls);
  json.Set("calls_refused", counters_.calls_refused.load());
  json.Set("calls_per_second", rate(before.calls, now.calls));
  json.Set("bytes_received", now.bytes_received);
  json.Set("bytes_sent", now.bytes_sent);
  json.Set("bytes_received_per_second", rate(before.bytes_received, now.bytes_received));
  json.Set("bytes_sent_per_second", rate(before.bytes_sent, now.bytes_sent));
  json.Set("memory_used_bytes", budget_.used_bytes());
  json.Set("memory_limit_bytes", budget_.limit_bytes());
  json.Set("folder", options_.folder);
  base::Json jobs = base::Json::EmptyArray();
  for (const JobStatus& job : jobs_.statuses()) jobs.Append(ToJson(job));
  json.Set("jobs", std::move(jobs));
  base::Json models = base::Json::EmptyArray();
  for (const LambdamlModelStatus& model : models_.statuses()) models.Append(ToJson(model));
  json.Set("models", std::move(models));
  return json;
}

std::string Service::Metrics() const {
  const Sample now = TakeSample();
  MetricsText text;
  text.Add("uptime_seconds", "gauge", "Time since the server started.",
           base::Seconds(now.at - started_));
  text.Add("connections", "gauge", "Open connections.", counters_.connections_open.load());
  text.Add("connections_accepted_total", "counter", "Connections accepted.",
           counters_.connections_accepted.load());
  text.Add("connections_refused_total", "counter", "Connections closed because of the limit.",
           counters_.connections_refused.load());
  text.Add("calls_total", "counter", "Calls answered, refused ones among them.", now.calls);
  text.Add("calls_refused_total", "counter", "Calls refused.", counters_.calls_refused.load());
  text.Add("slices_exchanged_total", "counter", "Calls of exchange.",
           counters_.slices_exchanged.load());
  text.Add("slices_merged_total", "counter", "Calls of merge.", counters_.slices_merged.load());
  text.Add("received_bytes_total", "counter", "Bytes received.", now.bytes_received);
  text.Add("sent_bytes_total", "counter", "Bytes sent.", now.bytes_sent);
  text.Add("memory_used_bytes", "gauge", "Memory held for clients.", budget_.used_bytes());
  text.Add("memory_limit_bytes", "gauge", "The most of it.", budget_.limit_bytes());
  const std::vector<JobStatus> jobs = jobs_.statuses();
  text.Add("jobs", "gauge", "Jobs.", jobs.size());
  text.Add("models", "gauge", "Models of LambdaML's service.", models_.statuses().size());
  text.Begin("job_rounds_finished_total", "counter", "Rounds finished since the server started.");
  for (const JobStatus& job : jobs) {
    text.AddOf("job_rounds_finished_total", job.name, job.rounds_finished);
  }
  text.Begin("job_waiting", "gauge", "Calls that wait for other ranks.");
  for (const JobStatus& job : jobs) text.AddOf("job_waiting", job.name, job.waiting);
  text.Begin("job_merges_total", "counter", "Changes merged into the shared model.");
  for (const JobStatus& job : jobs) text.AddOf("job_merges_total", job.name, job.merges);
  return text.Take();
}

}  // namespace lambdaml::ps
