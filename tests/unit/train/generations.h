// Runs jobs in several generations, cut where a test says: what an invocation has saved in memory
// is all that the next one knows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/generation.h"

#include "support/processes.h"

namespace lambdaml::train {

// What the ranks of a generation have saved, by rank; empty before the first one.
struct SavedStates {
  std::vector<std::string> shared;
  std::vector<std::string> own;
};

inline wire::State StateOf(const std::string& bytes) {
  return {base::Blob::Copy(base::AsBytes(bytes)), "saved state"};
}

// Ends at call number `calls` (1, 2, …) of GoesOn or Meet; never if that is 0.
class CutGeneration final : public Generation {
 public:
  // `before`, `after` must live as long.
  CutGeneration(const SavedStates& before, SavedStates& after, size_t rank, int64_t calls)
      : before_(before), after_(after), rank_(rank), calls_max_(calls) {}

  bool has_state() const override { return !before_.own.empty(); }

  // As a checkpoint does: what the ranks have in common comes from rank 0.
  void Restore(const StateVisitor& visit) override {
    wire::RankState state = {StateOf(before_.shared.at(0)), StateOf(before_.own.at(rank_))};
    visit(state);
    state.shared.CheckEnd();
    state.own.CheckEnd();
  }

  bool GoesOn(int64_t /*epochs*/, bool /*epoch_ended*/, const StateVisitor& visit) override {
    if (++calls_ != calls_max_) return true;
    Save(visit);
    return false;
  }

  bool Meet(int64_t epochs, const StateVisitor& visit, const std::function<void()>& meet) override {
    if (!GoesOn(epochs, false, visit)) return false;
    meet();
    return true;
  }

  int64_t calls() const { return calls_; }

 private:
  void Save(const StateVisitor& visit) {
    wire::RankState state;
    visit(state);
    after_.shared.at(rank_) = base::AsText(state.shared.TakeBytes());
    after_.own.at(rank_) = base::AsText(state.own.TakeBytes());
  }

  const SavedStates& before_;
  SavedStates& after_;
  const size_t rank_;
  const int64_t calls_max_;
  int64_t calls_ = 0;
};

// What a rank has said, epoch by epoch, and at its end: to be the same whatever the generations.
using Transcript = std::vector<std::string>;

// One rank's part of one generation.
struct Share {
  int rank = 0;
  int64_t number = 0;  // of the generation: 0, 1, …
  store::Store& channel;
  Generation& generation;
  Transcript& transcript;  // to be added to
};

// False if the generation ended before the job did.
using RankWork = std::function<bool(const Share&)>;

struct GenerationsRun {
  std::vector<Transcript> transcripts;  // by rank
  int64_t generations = 0;
  int64_t calls = 0;  // in the last one
};

inline constexpr int64_t kGenerationsMax = 1000;

// Runs all ranks, each in a thread, through as many generations as the job takes. calls_of says for
// each generation (0, 1, …) at which call it ends.
inline GenerationsRun RunGenerations(size_t ranks, const RankWork& work,
                                     const std::function<int64_t(int64_t)>& calls_of) {
  GenerationsRun run = {.transcripts = std::vector<Transcript>(ranks)};
  store::MemoryStore channel;
  SavedStates before;
  while (run.generations < kGenerationsMax) {
    SavedStates after = {std::vector<std::string>(ranks), std::vector<std::string>(ranks)};
    std::vector<int> finished(ranks, 0);
    std::vector<int64_t> calls(ranks, 0);
    const int64_t number = run.generations++;
    test::RunInThreads(static_cast<int>(ranks), [&](int rank) {
      const auto index = static_cast<size_t>(rank);
      CutGeneration generation(before, after, index, calls_of(number));
      const Share share = {rank, number, channel, generation, run.transcripts[index]};
      finished[index] = work(share) ? 1 : 0;
      calls[index] = generation.calls();
    });
    run.calls = calls[0];
    for (size_t rank = 1; rank < ranks; ++rank) {
      EXPECT_EQ(finished[rank], finished[0]) << "ranks part at generation " << number;
      EXPECT_EQ(after.shared[rank], after.shared[0]) << "what ranks have in common differs";
    }
    const bool is_finished = std::ranges::find(finished, 1) != finished.end();
    if (is_finished) return run;
    before = std::move(after);
  }
  ADD_FAILURE() << "the job does not end";
  return run;
}

// The property: wherever a run is cut, it ends as the whole run does. Returns rank 0's transcript.
inline Transcript ExpectCutsChangeNothing(size_t ranks, const RankWork& work) {
  const GenerationsRun whole = RunGenerations(ranks, work, [](int64_t) { return 0; });
  EXPECT_EQ(whole.generations, 1);
  EXPECT_GT(whole.calls, 2);
  for (int64_t cut = 1; cut <= whole.calls; ++cut) {
    SCOPED_TRACE(testing::Message() << "cut at call " << cut << " of " << whole.calls);
    const GenerationsRun run =
        RunGenerations(ranks, work, [&](int64_t number) { return number == 0 ? cut : 0; });
    EXPECT_EQ(run.generations, 2);
    EXPECT_EQ(run.transcripts, whole.transcripts);
    if (run.transcripts != whole.transcripts) break;  // the others would fail alike
  }
  // A loop may ask before its first step.
  const GenerationsRun steps = RunGenerations(ranks, work, [](int64_t) { return 2; });
  EXPECT_GE(steps.generations, 2);
  EXPECT_EQ(steps.transcripts, whole.transcripts) << "a generation for each step or two";
  return whole.transcripts.at(0);
}

}  // namespace lambdaml::train
