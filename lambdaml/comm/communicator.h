// Collectives among the workers of a job. What carries the bytes, and in which pattern, is the
// communicator's own business; docs/algorithms.md gives steps, requests and bytes of each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::comm {

// Who this worker is and how long it waits for the others.
struct Membership {
  std::string job;  // unique; starts every key the job writes
  int rank = 0;     // 0..worker_count-1
  int worker_count = 1;
  base::Duration round_timeout =
      std::chrono::seconds(60);  // longest wait for one peer in one round
  base::Deadline end = base::Deadline::After(std::chrono::hours(24));  // of this invocation
};

struct CommStats {
  uint64_t rounds = 0;
  base::Duration communicating = {};  // inside collectives, waiting for peers included
};

// Synchronous collectives. Every rank calls the same ones in the same order with the same lengths;
// each call is one round. Threads: one.
//
// Errors: kDeadlineExceeded, naming the round and the first missing rank; kCorrupt if a peer sent
// something of another length, round or checksum; those of the store.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int worker_count() const = 0;

  // Replaces scalars[i] and vector[i] on every rank by their sums over all ranks.
  // Exactness: terms are added in the order of ranks 0, 1, …, in float64, and rounded once to the
  // element's type; so every rank holds the same bits, whatever the pattern and the channel.
  virtual void AllReduceSum(std::span<double> scalars, std::span<float> vector) = 0;

  // Gives every rank what each rank contributed, in rank order. For small blobs that may differ in
  // size.
  virtual std::vector<base::Blob> AllGather(base::ByteSpan contribution) = 0;

  // To be called by every rank after its last round, once it has what it came for: returns when no
  // peer needs this rank any more, and deletes what it wrote if the store may lose its contents.
  // Such a store may lose messages of the last round that a slower peer has yet to read, and only
  // their writer can put them again. Never waits longer than a round. Free over a durable store.
  virtual void Leave() = 0;

  virtual CommStats stats() const = 0;
};

// The shared model of asynchronous training: workers add their changes to it whenever they like.
// No change is lost: it is merged with the store's compare-and-swap. Threads: one.
class SharedModel {
 public:
  virtual ~SharedModel() = default;

  // Creates the shared model if no worker has yet, and sets `model` to its present state.
  virtual void Join(std::span<float> model) = 0;

  // Adds `change` to the shared model (float32, element by element) and sets `model` to the result.
  virtual void Merge(std::span<const float> change, std::span<float> model) = 0;

  virtual CommStats stats() const = 0;
};

}  // namespace lambdaml::comm
