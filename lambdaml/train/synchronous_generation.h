// A generation whose ranks save and stop together (checkpointed_generation.h).
#pragma once

#include <optional>

#include "lambdaml/train/checkpointed_generation.h"
#include "lambdaml/train/pace.h"

namespace lambdaml::train {

// Threads: one.
class SynchronousGeneration final : public CheckpointedGeneration {
 public:
  // `manifest`: of the checkpoint it goes on from. The job and the checkpoints must live as long.
  // Errors: kCorrupt if the checkpoint is of another number of workers; kNotFound if there should
  // be one.
  SynchronousGeneration(GenerationOptions options, std::optional<CheckpointManifest> manifest);

  void Describe(comm::Membership& membership) override;
  void Join(comm::Communicator& communicator) override;
  bool IsLeftBehind() override;

  bool has_state() const override { return manifest_.has_value(); }
  void Restore(const StateVisitor& visit) override;
  bool GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) override;
  bool Meet(int64_t epochs, const StateVisitor& visit, const std::function<void()>& meet) override;

 private:
  enum Word : comm::Announcement { kGoOn = 0, kSave = 1, kEnd = 2 };

  void StartPace();
  // Rank 0's decision, once a round.
  comm::Announcement Decide();
  Word WordAt(int64_t epochs, bool epoch_ended) const;
  // Visits the state with what this class itself must know later.
  void Visit(const StateVisitor& visit, wire::RankState& state);
  void Save(Word word, int64_t epochs, const StateVisitor& visit);
  // Tells the other ranks that this one's parts stand; the result has the parts of all.
  CheckpointManifest Agree(const CheckpointPart& shared, const CheckpointPart& own);

  const wire::Job& job_;
  Checkpoints& checkpoints_;
  std::optional<CheckpointManifest> manifest_;  // of the newest checkpoint
  std::optional<CheckpointManifest> older_;     // of the one before, if this invocation knows it
  const StateVisitor visit_more_;
  const std::function<bool()> is_job_over_;
  const base::Deadline end_;        // of this invocation
  int64_t first_end_epoch_ms_ = 0;  // of the generation's invocation that ends first, wall clock
  double longest_lap_s_ = 0;
  double longest_save_s_ = base::Seconds(Pace::kSaveGuess);
  std::optional<Pace> pace_;
  base::TimePoint saved_at_;
  int64_t first_epoch_ = 0;  // epochs that were over when the generation began
  uint64_t rounds_at_save_ = 0;
  comm::Communicator* communicator_ = nullptr;
};

}  // namespace lambdaml::train
