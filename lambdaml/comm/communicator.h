// Collectives among the workers of a job. What carries the bytes, and in which pattern, is the
// communicator's own business; docs/algorithms.md gives steps, requests and bytes of each.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/wire/float16.h"

namespace lambdaml::comm {

// A word that rank 0 says to all ranks in a round; what it means is the callers' business.
using Announcement = uint16_t;

// Who this worker is, how long it waits for the others, and what it leaves for those that come
// after it (docs/fault-tolerance.md).
struct Membership {
  std::string job;  // unique; starts every key the job writes
  int rank = 0;     // 0..worker_count-1
  int worker_count = 1;
  base::Duration round_timeout =
      std::chrono::seconds(60);  // longest wait for one peer in one round
  // The same in the first round of a generation, where the ranks come together; an error then names
  // all that are missing. Nothing: it is a round like any other.
  std::optional<base::Duration> start_timeout = {};
  base::Deadline end = base::Deadline::After(std::chrono::hours(24));  // of this invocation

  uint64_t generation = 0;     // ranks of one generation talk to each other only
  uint64_t rounds_before = 0;  // of this generation: this rank goes on after them
  bool was_here = false;       // an earlier invocation of this rank may have taken part in more
  bool keeps_results = false;  // what a round came to stays until ReleaseResults
  // Of the generation before: nobody needs them once all ranks of this one have come together.
  std::vector<std::string> leftover_keys = {};
  // Rank 0: asked once in each AllReduceSum, when all ranks have contributed.
  std::function<Announcement()> announcement = {};
  // Asked now and then in a wait that lasts longer than a second: whether the job has gone on from
  // a newer state than this invocation has, so that what it waits for may be deleted. Once true it
  // stays true.
  std::function<bool()> is_left_behind = {};
};

struct CommStats {
  uint64_t rounds = 0;
  base::Duration communicating = {};  // inside collectives, waiting for peers included
};

// Synchronous collectives. Every rank calls the same ones in the same order with the same lengths;
// each call is one round. Threads: one.
//
// A rank may be invoked again, after its end or beside it: it goes through the same rounds and gets
// the same results. Those that were there before are read, not made anew; so they must have been
// kept (keeps_results) since the state from which it goes on.
//
// Errors: kDeadlineExceeded, naming the round and the first missing rank; kUnavailable if this
// invocation is left behind; kCorrupt if a peer sent something of another length, round or
// checksum; those of the store.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int worker_count() const = 0;

  // Replaces scalars[i] and vector[i] on every rank by their sums over all ranks.
  // Exactness: terms are added in the order of ranks 0, 1, …, in float64, and rounded once to the
  // element's type; so every rank holds the same bits, whatever the pattern and the channel.
  // kFloat16: half the bytes. Each term is rounded to float16 first, and the sum, rounded to
  // float32, once more. Alone there is no exchange, and nothing is rounded. Errors:
  // kInvalidArgument if a term or a sum is finite and too large for it.
  virtual void AllReduceSum(std::span<double> scalars, std::span<float> vector,
                            wire::Precision precision = wire::Precision::kFloat32) = 0;

  // What rank 0 announced in the last AllReduceSum, the same on every rank.
  virtual Announcement announced() const = 0;

  // Gives every rank what each rank contributed, in rank order. For small blobs that may differ in
  // size.
  virtual std::vector<base::Blob> AllGather(base::ByteSpan contribution) = 0;

  // No rank will be invoked again to go through the rounds so far. Said by every rank after the
  // same round; rank 0 says it, and goes on, only when that is certain. The results are deleted in
  // the rounds that follow.
  virtual void ReleaseResults() = 0;

  // Rounds of this generation that are over.
  virtual uint64_t rounds() const = 0;

  // What this rank keeps of results (Membership::keeps_results), in the channel.
  virtual uint64_t kept_bytes() const = 0;

  // At the end of a generation, after ReleaseResults, when it is certain for this rank too: deletes
  // what this rank wrote before the last round, an AllGather. What it wrote in that one its peers
  // may still read; it is the next generation's leftover_keys.
  virtual void DeleteReleased() = 0;

  // To be called by every rank after its last round, once it has what it came for: returns when no
  // peer needs this rank any more, and deletes what it wrote if the store may lose its contents.
  // Such a store may lose messages of the last round that a slower peer has yet to read, and only
  // their writer can put them again. Never waits longer than a round. Free over a durable store.
  virtual void Leave() = 0;

  virtual CommStats stats() const = 0;
};

// The shared model of asynchronous training: workers add their changes to it whenever they like.
// No change is lost, and none is added twice: it is merged with the store's compare-and-swap, and
// the model counts each rank's merges. Threads: one.
class SharedModel {
 public:
  virtual ~SharedModel() = default;

  // Creates the shared model if no worker has yet, and sets `model` to its present state.
  virtual void Join(std::span<float> model) = 0;

  // How many changes of this rank are in the shared model, those of its earlier invocations
  // included; after Join.
  virtual uint64_t own_merges() const = 0;

  // Adds `change` to the shared model (float32, element by element) and sets `model` to the result.
  // Errors: kAlreadyExists if another invocation of this rank merges as well.
  virtual void Merge(std::span<const float> change, std::span<float> model) = 0;

  virtual CommStats stats() const = 0;
};

}  // namespace lambdaml::comm
