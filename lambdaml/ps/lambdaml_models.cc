#include "lambdaml/ps/lambdaml_models.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/random.h"
#include "lambdaml/ps/slice_call.h"

namespace lambdaml::ps {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kExtension = ".model";
constexpr size_t kIdSizeMax = 1000;
constexpr uint64_t kCompactMinBytes = 64U << 20;

std::vector<double> AsDoubles(base::ByteSpan bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
  return values;
}

std::vector<double> RandomStart(const std::string& id, size_t length) {
  base::Random random(base::Checksum64(base::AsBytes(id)));
  std::vector<double> values(length);
  for (double& value : values) value = random.Uniform();
  return values;
}

[[noreturn]] void Refuse(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace

LambdamlModel::LambdamlModel(std::string id, size_t length, int parallelism,
                             std::unique_ptr<Journal> journal, MemoryBudget& budget)
    : budget_(budget),
      id_(std::move(id)),
      journal_(std::move(journal)),
      reservation_(budget.Reserve(length * sizeof(double))),
      values_(RandomStart(id_, length)),
      pulls_(static_cast<size_t>(parallelism)),
      pushes_(static_cast<size_t>(parallelism)) {
  if (journal_) WriteState(*journal_);
}

std::unique_ptr<LambdamlModel> LambdamlModel::Recover(const std::string& path,
                                                      MemoryBudget& budget) {
  std::unique_ptr<LambdamlModel> model(new LambdamlModel(budget));
  auto journal = std::make_unique<Journal>(
      path, [&](const Record& record, const BodyPlace&) { model->Restore(record); });
  if (model->pushes_.empty()) return nullptr;
  model->journal_ = std::move(journal);
  return model;
}

void LambdamlModel::Restore(const Record& record) {
  const size_t worker = record.count;
  if (record.kind == RecordKind::kName) {
    id_ = base::AsText(record.body);
  } else if (record.kind == RecordKind::kState) {
    if (record.count == 0 || record.count > kWorkerCountMax) return;
    values_ = AsDoubles(record.body);
    iteration_ = record.round;
    pulls_.assign(record.count, false);
    pushes_ = std::vector<PushedChange>(record.count);
    push_count_ = 0;
    reservation_ = budget_.Reserve(values_.size() * sizeof(double));
  } else if (worker < pulls_.size() && record.kind == RecordKind::kPull) {
    pulls_[worker] = true;
  } else if (worker < pushes_.size() && record.kind == RecordKind::kPush &&
             record.body.size() == values_.size() * sizeof(double)) {
    TakePush(static_cast<int>(worker),
             {budget_.Reserve(record.body.size()), AsDoubles(record.body)});
  }
}

bool LambdamlModel::is_untouched() const {
  return iteration_ == 0 && push_count_ == 0 && std::ranges::find(pulls_, true) == pulls_.end();
}

void LambdamlModel::CheckTurn(int64_t iteration, int worker, std::string_view operation) const {
  if (worker < 0 || worker >= parallelism()) {
    Refuse(fmt::format("model {} has workers 0 to {}, not {}", id_, parallelism() - 1, worker));
  }
  if (iteration < 0 || static_cast<uint64_t>(iteration) != iteration_) {
    Refuse(fmt::format("model {}: worker {} {} in iteration {}, but it is iteration {}", id_,
                       worker, operation, iteration, iteration_));
  }
}

bool LambdamlModel::CanPull(int64_t iteration) const {
  Use();
  const int64_t pushes = static_cast<int64_t>(iteration_) * parallelism() + push_count_;
  return pushes == parallelism() * iteration;
}

bool LambdamlModel::CanPush(int64_t iteration) const {
  Use();
  const int64_t pulls = static_cast<int64_t>(iteration_) * parallelism() +
                        static_cast<int64_t>(std::ranges::count(pulls_, true));
  return pulls == parallelism() * (iteration + 1);
}

const std::vector<double>& LambdamlModel::Pull(int64_t iteration, int worker) {
  Use();
  CheckTurn(iteration, worker, "pulls");
  const auto index = static_cast<size_t>(worker);
  if (!pulls_[index]) {
    if (journal_) {
      journal_->Append({.kind = RecordKind::kPull, .count = static_cast<uint32_t>(worker)});
    }
    pulls_[index] = true;
  }
  return values_;
}

void LambdamlModel::Push(int64_t iteration, int worker, std::span<const double> change,
                         double scale) {
  Use();
  const bool is_repeated = worker >= 0 && worker < parallelism() && iteration >= 0 &&
                           static_cast<uint64_t>(iteration) + 1 == iteration_;
  if (is_repeated) return;  // its iteration is complete, so it is in
  CheckTurn(iteration, worker, "pushes");
  if (change.size() != values_.size()) {
    Refuse(fmt::format("model {} has {} elements, worker {} pushes {}", id_, values_.size(), worker,
                       change.size()));
  }
  if (!pushes_[static_cast<size_t>(worker)].scaled.empty()) return;
  PushedChange push = {budget_.Reserve(change.size_bytes()), {change.begin(), change.end()}};
  for (double& value : push.scaled) value *= scale;
  if (journal_) {
    journal_->Append({.kind = RecordKind::kPush,
                      .count = static_cast<uint32_t>(worker),
                      .body = std::as_bytes(std::span(push.scaled))});
  }
  TakePush(worker, std::move(push));
  if (journal_ && journal_->size_bytes() > kCompactMinBytes && push_count_ == 0) {
    journal_->Replace([this](Journal& fresh) { WriteState(fresh); });
  }
}

void LambdamlModel::TakePush(int worker, PushedChange push) {
  pushes_[static_cast<size_t>(worker)] = std::move(push);
  if (++push_count_ < parallelism()) return;
  for (PushedChange& pushed : pushes_) {
    for (size_t i = 0; i < values_.size(); ++i) values_[i] += pushed.scaled[i];
    pushed = {};
  }
  pulls_.assign(pulls_.size(), false);
  push_count_ = 0;
  ++iteration_;
}

void LambdamlModel::WriteState(Journal& journal) const {
  journal.Append({.kind = RecordKind::kName, .body = base::AsBytes(id_)});
  journal.Append({.kind = RecordKind::kState,
                  .round = iteration_,
                  .count = static_cast<uint32_t>(parallelism()),
                  .body = std::as_bytes(std::span(values_))});
}

LambdamlModelStatus LambdamlModel::status() const {
  return {.id = id_,
          .length = values_.size(),
          .parallelism = parallelism(),
          .iteration = iteration_,
          .pulls = static_cast<int>(std::ranges::count(pulls_, true)),
          .pushes = push_count_,
          .idle_seconds = base::Seconds(base::SystemClock().Now() - last_used_)};
}

void LambdamlModel::RemoveJournal() {
  if (journal_) journal_->Remove();
}

// ---- All models ----

LambdamlModels::LambdamlModels(std::string folder, size_t models_max, MemoryBudget& budget)
    : folder_(std::move(folder)), models_max_(models_max), budget_(budget) {
  if (folder_.empty()) return;
  base::MakeDirectories(folder_);
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    if (file.path().extension() != kExtension) continue;
    auto entry = std::make_shared<Entry>();
    entry->model = LambdamlModel::Recover(file.path().string(), budget_);
    if (!entry->model || PathOf(entry->model->id()) != file.path().string()) continue;
    const LambdamlModelStatus status = entry->model->status();
    base::Log(base::LogLevel::kInfo,
              fmt::format("ps event=recovered model=\"{}\" length={} iteration={}", status.id,
                          status.length, status.iteration));
    models_.emplace(status.id, std::move(entry));
  }
}

// An id may hold any bytes, so its checksum stands for it.
std::string LambdamlModels::PathOf(const std::string& id) const {
  return fmt::format("{}/{}{}", folder_, base::ChecksumHex(base::Checksum64(base::AsBytes(id))),
                     kExtension);
}

void LambdamlModels::Register(const std::string& id, int64_t length, int parallelism) {
  if (id.empty() || id.size() > kIdSizeMax) {
    Refuse(fmt::format("a model's id has 1 to {} bytes, not {}", kIdSizeMax, id.size()));
  }
  if (length < 1) Refuse(fmt::format("model {} cannot have {} elements", id, length));
  if (parallelism < 1 || parallelism > kWorkerCountMax) {
    Refuse(fmt::format("model {} cannot have {} workers", id, parallelism));
  }
  const std::lock_guard lock(mutex_);
  if (const auto found = models_.find(id); found != models_.end()) {
    const std::lock_guard entry_lock(found->second->mutex);
    const LambdamlModel& model = *found->second->model;
    if (model.is_untouched() && model.length() == static_cast<size_t>(length) &&
        model.parallelism() == parallelism) {
      return;
    }
    throw Error(ErrorCode::kAlreadyExists,
                fmt::format("model {} is registered already, with {} elements and {} workers: the "
                            "name is in use",
                            id, model.length(), model.parallelism()));
  }
  if (models_.size() >= models_max_) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("the parameter server has {} models, the most it takes (--jobs_max)",
                            models_.size()));
  }
  std::unique_ptr<Journal> journal;
  if (!folder_.empty()) {
    journal = std::make_unique<Journal>(PathOf(id), [](const Record&, const BodyPlace&) {});
    journal->Clear();
  }
  auto entry = std::make_shared<Entry>();
  entry->model = std::make_unique<LambdamlModel>(id, static_cast<size_t>(length), parallelism,
                                                 std::move(journal), budget_);
  models_.emplace(id, std::move(entry));
}

bool LambdamlModels::Exists(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return models_.contains(id);
}

std::shared_ptr<LambdamlModels::Entry> LambdamlModels::Find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(id);
  if (found != models_.end()) return found->second;
  throw Error(ErrorCode::kNotFound,
              "the parameter server has no such model: register it first; an idle one is dropped "
              "after --expired");
}

std::vector<std::string> LambdamlModels::Expire(base::TimePoint moment) {
  std::vector<std::string> expired;
  const std::lock_guard lock(mutex_);
  for (auto next = models_.begin(); next != models_.end();) {
    const auto current = next++;
    const std::shared_ptr<Entry> entry = current->second;  // outlives the lock of its mutex
    const std::lock_guard entry_lock(entry->mutex);
    if (entry->model->last_used() >= moment) continue;
    expired.push_back(current->first);
    entry->model->RemoveJournal();
    models_.erase(current);
  }
  return expired;
}

std::vector<LambdamlModelStatus> LambdamlModels::statuses() const {
  std::vector<LambdamlModelStatus> statuses;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : models_) {
    const std::lock_guard entry_lock(entry->mutex);
    statuses.push_back(entry->model->status());
  }
  return statuses;
}

}  // namespace lambdaml::ps
