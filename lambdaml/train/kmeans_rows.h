// The rows of a k-means job as all workers number them, and their way from the worker that holds
// them to all.
//
// A row's number is its place in the data set: shards count one after the other, in the manifest's
// order. So what is chosen by number does not depend on which worker holds which shard.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/manifest.h"
#include "lambdaml/model/kmeans_centroids.h"

namespace lambdaml::train {

// The numbers of the rows that one rank holds: those of LoadRows (shards.h), in that order.
class RowNumbers {
 public:
  RowNumbers(const data::Manifest& manifest, int64_t rank, int64_t worker_count);

  int64_t total() const { return total_; }  // rows of all ranks
  int64_t count() const { return count_; }  // rows of this rank
  int64_t max() const { return max_; }      // rows of the rank with most

  int64_t NumberOf(int64_t row) const;
  // Nothing if another rank holds it.
  std::optional<int64_t> RowOf(int64_t number) const;

 private:
  struct Run {  // one shard: rows [row, row + size) have the numbers from `number` on
    int64_t row = 0;
    int64_t number = 0;
    int64_t size = 0;
  };

  std::vector<Run> runs_;  // ascending by row and by number
  int64_t total_ = 0;
  int64_t count_ = 0;
  int64_t max_ = 0;
};

// A row that a rank offers to all, with what they are to choose by.
struct OfferedRow {
  int64_t row = 0;
  double key = 0;
};

// What all ranks offered, ascending by number.
struct GatheredRows {
  std::vector<int64_t> numbers;
  std::vector<double> keys;
  model::Centroids rows;  // dense; row i has numbers[i]
};

// Threads: one. Every rank makes the same calls.
class RowExchange {
 public:
  // All must live as long. `rows` and `numbers` are this rank's.
  RowExchange(const data::Dataset& rows, const RowNumbers& numbers, comm::Communicator& peers)
      : rows_(rows), numbers_(numbers), peers_(peers) {}

  const data::Dataset& rows() const { return rows_; }
  const RowNumbers& numbers() const { return numbers_; }
  comm::Communicator& peers() const { return peers_; }

  // The rows with these numbers, in this order, on every rank. One round: their float32 numbers.
  model::Centroids Fetch(std::span<const int64_t> numbers) const;

  // What every rank offers, on every rank. One round: the offered rows, as they are stored.
  // Errors: kCorrupt for an offer that breaks its form.
  GatheredRows Gather(std::span<const OfferedRow> offered) const;

 private:
  const data::Dataset& rows_;
  const RowNumbers& numbers_;
  comm::Communicator& peers_;
};

}  // namespace lambdaml::train
