#include "lambdaml/train/checkpointed_generation.h"

#include <utility>

#include "lambdaml/train/asynchronous_generation.h"
#include "lambdaml/train/synchronous_generation.h"

namespace lambdaml::train {

std::unique_ptr<CheckpointedGeneration> EnterGeneration(const wire::Job& job,
                                                        Checkpoints& checkpoints,
                                                        StateVisitor visit_more,
                                                        const base::Deadline& end) {
  if (job.sync_mode == wire::SyncMode::kAsync) {
    return std::make_unique<AsynchronousGeneration>(job, checkpoints, std::move(visit_more), end);
  }
  // The first invocation of all has nothing to go on from.
  std::optional<CheckpointManifest> manifest;
  if (job.generation > 0 || job.attempt > 1) manifest = checkpoints.Latest(end);
  if (manifest && manifest->generation > static_cast<uint64_t>(job.generation)) return nullptr;
  return std::make_unique<SynchronousGeneration>(job, checkpoints, std::move(manifest),
                                                 std::move(visit_more), end);
}

}  // namespace lambdaml::train
