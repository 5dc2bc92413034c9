// One job on the server: its rounds, its shared model, and its journal if the server has a folder.
//
// Which results are kept: those of the round that finished last and of later ones. A rank
// contributes to a round only when it has returned from the one before; so once a round is
// finished, every rank has what it will ever read of those before it. A job whose restarted workers
// replay rounds (keeps_rounds) keeps them all until Release.
//
// With a journal, a result is on disk before anybody gets it, so that a restarted server still has
// it for the ranks that come later; and only the latest are in memory too. What ranks have
// contributed to unfinished rounds is not on disk: they contribute again when they notice.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/ps/journal.h"
#include "lambdaml/ps/memory_budget.h"
#include "lambdaml/ps/model_slice.h"
#include "lambdaml/ps/round_slice.h"
#include "lambdaml/ps/slice_call.h"

namespace lambdaml::ps {

// A journal is rewritten when it has become this large, and then when it has tripled.
inline constexpr uint64_t kCompactMinBytes = 256U << 20;

struct JobStatus {
  std::string name = {};
  int worker_count = 0;
  RoundId round = {};            // the latest that has begun
  uint64_t rounds_finished = 0;  // since the server started
  uint64_t rounds_kept = 0;
  uint64_t merges = 0;
  uint64_t model_length = 0;
  int waiting = 0;                      // calls that wait for other ranks
  std::vector<int> missing_ranks = {};  // of the oldest unfinished round
  double idle_seconds = 0;
  uint64_t journal_bytes = 0;
};

// Threads: any.
class Job {
 public:
  // A new job. `journal` is empty, or nothing if there is no folder.
  Job(const JobSpec& spec, uint64_t incarnation, std::unique_ptr<Journal> journal,
      MemoryBudget& budget);
  // The job of a journal; nothing if not even its first record is whole.
  static std::shared_ptr<Job> Recover(const std::string& path, MemoryBudget& budget);

  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  const JobSpec& spec() const { return spec_; }
  // From now on results are kept until Release.
  void KeepRounds();
  uint64_t incarnation() const { return incarnation_; }

  // ps.thrift says what these do. Errors: kInvalidArgument for a call that does not fit the job,
  // kNotFound for a round that is released or a model that is not there, kCorrupt for a damaged
  // message, kUnavailable while the server stops, kResourceExhausted.
  SliceAnswer Exchange(const SliceCall& call);
  SliceAnswer Merge(const SliceCall& call);
  void Release(const RoundId& before);

  // From now on no round is begun; those that have begun may finish.
  void Drain();
  bool has_unfinished_round() const;
  // Ends all waiting, with kUnavailable: the server ends, or (kNotFound) the job was closed.
  void Stop();
  void Close();
  void Sync() const;

  bool is_idle_since(base::TimePoint moment) const;
  JobStatus status() const;

 private:
  struct Round {
    std::vector<std::shared_ptr<RoundSlice>> slices;
    uint32_t finished_count = 0;
    MemoryBudget::Reservation reservation;
  };
  using Rounds = std::map<RoundId, Round>;
  class Use;  // counts the caller in

  Job(JobSpec spec, uint64_t incarnation, MemoryBudget& budget);
  void Restore(const Record& record, const BodyPlace& place);
  void RestoreResult(const Record& record, const BodyPlace& place);

  void CheckCall(const SliceCall& call) const;
  wire::Message Decode(const SliceCall& call) const;
  std::shared_ptr<RoundSlice> FindSlice(const SliceCall& call);
  Round MakeRound(uint32_t slice_count);
  void MergeSlice(const SliceCall& call, RoundSlice& slice);
  void NoteFinished(const RoundId& id);
  SliceAnswer AnswerOf(const SliceCall& call, const RoundSlice& slice,
                       const std::optional<SliceResult>& result);
  void DropBefore(const RoundId& id);
  std::shared_ptr<ModelSlice> FindModelSlice(const SliceCall& call);
  [[noreturn]] void ThrowReleased(const RoundId& id) const;
  void ThrowIfStopped() const;

  // A finished slice and where its result stands in a journal that is about to replace this one.
  struct MovedResult {
    std::shared_ptr<RoundSlice> slice;
    SliceResult result;
  };
  void CompactIfWorthwhile();
  std::vector<MovedResult> WriteAll(Journal& fresh) const;
  void WriteStart(Journal& journal) const;

  const JobSpec spec_;
  const uint64_t incarnation_;
  MemoryBudget& budget_;

  // Held shared while a record is appended and what it says takes effect; held alone while the
  // journal is replaced. Taken before mutex_.
  mutable std::shared_mutex journal_gate_;
  std::unique_ptr<Journal> journal_;
  std::atomic<uint64_t> compact_at_bytes_{kCompactMinBytes};

  mutable std::mutex mutex_;  // guards the members below, taken before those of slices
  Rounds rounds_;
  RoundId kept_from_;     // earlier rounds are released
  RoundId latest_round_;  // that has begun
  uint64_t rounds_finished_ = 0;
  std::vector<std::shared_ptr<ModelSlice>> model_;
  bool is_draining_ = false;

  enum class End { kNone, kStopped, kClosed };
  std::atomic<End> end_{End::kNone};
  std::atomic<int> calls_{0};
  std::atomic<int> waiting_{0};
  std::atomic<bool> keeps_rounds_;
  std::atomic<base::TimePoint> last_used_;
};

}  // namespace lambdaml::ps
