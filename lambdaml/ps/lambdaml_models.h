// The models of LambdaML's own service: lists of doubles that workers pull and push in turns.
//
// An iteration n: each of the `parallelism` workers pulls the model, then pushes a change. When all
// have pushed, the changes are added in the order of workers, and iteration n+1 begins:
//
//   push_grad:    w = (((w + lr·g_0) + lr·g_1) + …)        push_update:    w = ((w + u_0) + u_1) …
//
// can_pull(n) is true when n iterations are complete, that is pushes == parallelism·n; can_push(n)
// when every worker has pulled n too, pulls == parallelism·(n+1). Differences from LambdaML's own
// server, none of which its clients notice: changes are added in a fixed order, so that a run
// repeats; a pull or push that is repeated counts once, so that a retry cannot block the others for
// ever; what does not fit is refused; a model starts with random numbers of [0, 1) that depend on
// its name only; a name in use is refused, not reset.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/ps/journal.h"
#include "lambdaml/ps/memory_budget.h"

namespace lambdaml::ps {

struct LambdamlModelStatus {
  std::string id = {};
  uint64_t length = 0;
  int parallelism = 0;
  uint64_t iteration = 0;
  int pulls = 0;  // in this iteration
  int pushes = 0;
  double idle_seconds = 0;
};

// One model. Threads: one at a time.
class LambdamlModel {
 public:
  // `journal` is empty, or nothing without a folder.
  LambdamlModel(std::string id, size_t length, int parallelism, std::unique_ptr<Journal> journal,
                MemoryBudget& budget);
  // Nothing if the journal holds none.
  static std::unique_ptr<LambdamlModel> Recover(const std::string& path, MemoryBudget& budget);

  const std::string& id() const { return id_; }
  size_t length() const { return values_.size(); }
  int parallelism() const { return static_cast<int>(pushes_.size()); }
  bool is_untouched() const;

  bool CanPull(int64_t iteration) const;
  bool CanPush(int64_t iteration) const;
  // Errors of both: kInvalidArgument for a worker, iteration or length that does not fit.
  const std::vector<double>& Pull(int64_t iteration, int worker);
  // Adds scale · change.
  void Push(int64_t iteration, int worker, std::span<const double> change, double scale);

  LambdamlModelStatus status() const;
  base::TimePoint last_used() const { return last_used_; }
  void RemoveJournal();

 private:
  explicit LambdamlModel(MemoryBudget& budget) : budget_(budget) {}
  void Restore(const Record& record);
  void CheckTurn(int64_t iteration, int worker, std::string_view operation) const;
  struct PushedChange {
    MemoryBudget::Reservation reservation = {};
    std::vector<double> scaled = {};  // empty: none yet
  };
  void TakePush(int worker, PushedChange push);
  void WriteState(Journal& journal) const;
  void Use() const { last_used_ = base::SystemClock().Now(); }

  MemoryBudget& budget_;
  std::string id_;
  std::unique_ptr<Journal> journal_;
  MemoryBudget::Reservation reservation_;
  std::vector<double> values_;
  uint64_t iteration_ = 0;
  std::vector<bool> pulls_;           // of this iteration, by worker
  std::vector<PushedChange> pushes_;  // the same
  int push_count_ = 0;
  mutable base::TimePoint last_used_ = base::SystemClock().Now();
};

// Threads: any.
class LambdamlModels {
 public:
  LambdamlModels(std::string folder, size_t models_max, MemoryBudget& budget);

  // Errors: kAlreadyExists if another model has that id (the same registration may be repeated
  // until the first pull or push); kInvalidArgument, kResourceExhausted.
  void Register(const std::string& id, int64_t length, int parallelism);
  bool Exists(const std::string& id) const;
  // Calls `work` with the model. Errors: kNotFound if there is none; those of `work`.
  template <typename Work>
  auto With(const std::string& id, const Work& work) {
    const std::shared_ptr<Entry> entry = Find(id);
    const std::lock_guard lock(entry->mutex);
    return work(*entry->model);
  }

  std::vector<std::string> Expire(base::TimePoint moment);
  std::vector<LambdamlModelStatus> statuses() const;

 private:
  struct Entry {
    std::mutex mutex;
    std::unique_ptr<LambdamlModel> model;
  };
  std::shared_ptr<Entry> Find(const std::string& id) const;
  std::string PathOf(const std::string& id) const;

  const std::string folder_;
  const size_t models_max_;
  MemoryBudget& budget_;
  mutable std::mutex mutex_;  // guards the map, taken before an entry's
  std::map<std::string, std::shared_ptr<Entry>> models_;
};

}  // namespace lambdaml::ps
