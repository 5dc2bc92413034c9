// How a generation of asynchronous training counts its epochs.
#include <gtest/gtest.h>

#include "lambdaml/comm/store_channel.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/asynchronous_generation.h"
#include "lambdaml/train/peers.h"

#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

class AsynchronousEpochsTest : public testing::Test {
 protected:
  // One invocation of the only rank, an epoch at a time. It dies after the epoch `dies_after`.
  // Returns the epochs that are over, of all generations.
  int64_t Invoke(int64_t generation, int64_t attempt, int64_t dies_after = -1) {
    wire::Job job;
    job.job_id = "job";
    job.n_workers = 1;
    job.sync_mode = wire::SyncMode::kAsync;
    job.checkpoint = folder_.path();
    job.checkpoint_every = 3;
    job.run_epochs = 4;
    job.generation = generation;
    job.attempt = attempt;
    job.origin = "{}";
    const base::Deadline end = base::Deadline::After(std::chrono::seconds(60));
    Checkpoints checkpoints(job.checkpoint, job.job_id);
    AsynchronousGeneration under_test({.job = job,
                                       .checkpoints = checkpoints,
                                       .visit_more = [](wire::RankState&) {},
                                       .is_job_over = [] { return false; },
                                       .end = end});
    comm::StoreChannel channel(channel_);
    Peers peers(job, channel, end, &under_test);
    under_test.Join(peers.communicator());
    int64_t epochs = 0;
    const StateVisitor visit = [&](wire::RankState& state) { state.own.Visit("epochs", epochs); };
    if (under_test.has_state()) under_test.Restore(visit);
    while (epochs != dies_after && under_test.GoesOn(++epochs, true, visit)) {
    }
    return epochs;
  }

  TemporaryFolder folder_;
  store::MemoryStore channel_;
};

// Whoever goes on from a state in the middle of a generation counts from its beginning.
TEST_F(AsynchronousEpochsTest, AGenerationEndsAfterItsEpochsHoweverOftenItIsStartedAgain) {
  EXPECT_EQ(Invoke(0, 1, 3), 3);
  EXPECT_EQ(Invoke(0, 2), 4);
  EXPECT_EQ(Invoke(1, 1, 7), 7);
  EXPECT_EQ(Invoke(1, 2), 8);
  EXPECT_EQ(Invoke(2, 1), 12);
}

}  // namespace
}  // namespace lambdaml::train
