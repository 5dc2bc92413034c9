// The part of Job that writes its journal anew and reads it after a restart.
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/ps/job.h"

namespace lambdaml::ps {
namespace {

uint64_t CompactAt(uint64_t size_bytes) { return std::max(kCompactMinBytes, 3 * size_bytes); }

}  // namespace

Job::Job(const JobSpec& spec, uint64_t incarnation, std::unique_ptr<Journal> journal,
         MemoryBudget& budget)
    : Job(spec, incarnation, budget) {
  journal_ = std::move(journal);
  if (journal_) WriteStart(*journal_);
}

std::shared_ptr<Job> Job::Recover(const std::string& path, MemoryBudget& budget) {
  std::shared_ptr<Job> job;
  auto journal = std::make_unique<Journal>(path, [&](const Record& record, const BodyPlace& place) {
    if (job) return job->Restore(record, place);
    if (record.kind != RecordKind::kJob || record.count == 0 || record.count > kWorkerCountMax) {
      return;
    }
    JobSpec spec = {.job = std::string(base::AsText(record.body)),
                    .worker_count = static_cast<int>(record.count),
                    .keeps_rounds = record.flags != 0};
    CheckJobName(spec.job);
    job.reset(new Job(std::move(spec), record.round, budget));
  });
  if (!job) return nullptr;
  job->compact_at_bytes_ = CompactAt(journal->size_bytes());
  job->journal_ = std::move(journal);
  return job;
}

void Job::Restore(const Record& record, const BodyPlace& place) {
  switch (record.kind) {
    case RecordKind::kResult:
      return RestoreResult(record, place);
    case RecordKind::kRelease:
      return DropBefore({record.generation, record.round});
    case RecordKind::kModel:
    case RecordKind::kMerge: {
      if (record.slice_count == 0 || record.slice_count > kSliceCountMax ||
          record.slice >= record.slice_count ||
          record.count >= static_cast<uint32_t>(spec_.worker_count)) {
        return;
      }
      const SliceCall call = {.slice = record.slice, .slice_count = record.slice_count};
      const wire::Message message =
          wire::DecodeMessage(base::Blob::Copy(record.body), "a journal's record");
      const std::shared_ptr<ModelSlice> slice = FindModelSlice(call);
      if (record.kind == RecordKind::kModel) return slice->Restore(message.vector, budget_);
      return slice->Merge(static_cast<int>(record.count), record.round, message.vector, [] {});
    }
    case RecordKind::kJob:
      keeps_rounds_ = record.flags != 0;
      return;
    case RecordKind::kState:
    case RecordKind::kPull:
    case RecordKind::kPush:
    case RecordKind::kName:
      return;
  }
}

void Job::RestoreResult(const Record& record, const BodyPlace& place) {
  const RoundId id = {record.generation, record.round};
  if (id < kept_from_ || record.slice_count == 0 || record.slice_count > kSliceCountMax ||
      record.slice >= record.slice_count) {
    return;
  }
  auto found = rounds_.find(id);
  if (found == rounds_.end()) found = rounds_.emplace(id, MakeRound(record.slice_count)).first;
  Round& round = found->second;
  if (round.slices.size() != record.slice_count || round.slices[record.slice]) return;
  round.slices[record.slice] =
      std::make_shared<RoundSlice>(SliceResult{record.announcement, std::nullopt, place});
  ++round.finished_count;
  latest_round_ = std::max(latest_round_, id);
}

void Job::CompactIfWorthwhile() {
  if (!journal_ || journal_->size_bytes() < compact_at_bytes_.load()) return;
  const std::unique_lock gate(journal_gate_);
  if (journal_->size_bytes() < compact_at_bytes_.load()) return;  // somebody else has
  std::vector<MovedResult> moved;
  const std::lock_guard lock(mutex_);
  journal_->Replace([&](Journal& fresh) { moved = WriteAll(fresh); });
  for (MovedResult& result : moved) result.slice->SetResult(std::move(result.result));
  compact_at_bytes_ = CompactAt(journal_->size_bytes());
}

std::vector<Job::MovedResult> Job::WriteAll(Journal& fresh) const {
  WriteStart(fresh);
  fresh.Append({.kind = RecordKind::kRelease,
                .generation = kept_from_.generation,
                .round = kept_from_.round});
  std::vector<MovedResult> moved;
  for (const auto& [id, round] : rounds_) {
    const auto slice_count = static_cast<uint32_t>(round.slices.size());
    for (uint32_t i = 0; i < slice_count; ++i) {
      const std::shared_ptr<RoundSlice>& slice = round.slices[i];
      if (!slice || !slice->is_finished()) continue;
      SliceResult result = slice->result();
      const base::Blob message = result.message ? *result.message : journal_->Read(*result.place);
      result.place = fresh.Append({.kind = RecordKind::kResult,
                                   .generation = id.generation,
                                   .round = id.round,
                                   .announcement = result.announcement,
                                   .slice = i,
                                   .slice_count = slice_count,
                                   .body = message.span()});
      moved.push_back({slice, std::move(result)});
    }
  }
  for (uint32_t i = 0; i < model_.size(); ++i) {
    if (!model_[i] || !model_[i]->is_joined()) continue;
    const base::Blob state = model_[i]->Encode(budget_);
    fresh.Append({.kind = RecordKind::kModel,
                  .slice = i,
                  .slice_count = static_cast<uint32_t>(model_.size()),
                  .body = state.span()});
  }
  return moved;
}

void Job::WriteStart(Journal& journal) const {
  journal.Append({.kind = RecordKind::kJob,
                  .round = incarnation_,
                  .count = static_cast<uint32_t>(spec_.worker_count),
                  .flags = keeps_rounds_ ? 1U : 0U,
                  .body = base::AsBytes(spec_.job)});
}

}  // namespace lambdaml::ps
