#include "lambdaml/train/checkpointed_generation.h"

#include <optional>
#include <utility>

#include "lambdaml/train/asynchronous_generation.h"
#include "lambdaml/train/synchronous_generation.h"

namespace lambdaml::train {

std::unique_ptr<CheckpointedGeneration> EnterGeneration(const GenerationOptions& options) {
  const wire::Job& job = options.job;
  if (job.sync_mode == wire::SyncMode::kAsync) {
    return std::make_unique<AsynchronousGeneration>(options);
  }
  // The first invocation of all has nothing to go on from.
  std::optional<CheckpointManifest> manifest;
  if (job.generation > 0 || job.attempt > 1) manifest = options.checkpoints.Latest(options.end);
  if (manifest && manifest->generation > static_cast<uint64_t>(job.generation)) return nullptr;
  return std::make_unique<SynchronousGeneration>(options, std::move(manifest));
}

}  // namespace lambdaml::train
