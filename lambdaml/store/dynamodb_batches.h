// Many items at once: BatchWriteItem and BatchGetItem, several calls in parallel, and again for
// what the service leaves undone.
//
// A batch holds about 1 MB of values, since the service reads no more at once from one of its
// partitions, and 25 writes or 100 reads at most. How many keys to read with one call is guessed
// from the largest value seen so far. Batches cost nothing by themselves: items are billed.
#pragma once

#include <atomic>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/store/dynamodb_client.h"
#include "lambdaml/store/dynamodb_options.h"
#include "lambdaml/store/meter.h"

namespace lambdaml::store {

// One item that a batch puts (with value and version), deletes or gets.
struct DynamoDbBatchItem {
  std::string_view key;
  base::ByteSpan value = {};
  std::string version = {};
};

// Threads: any, at once.
class DynamoDbBatches {
 public:
  using Items = std::vector<DynamoDbBatchItem>;
  using Values = std::map<std::string_view, base::Blob>;

  // All must outlive the object.
  DynamoDbBatches(const DynamoDbOptions& options, DynamoDbClient& client, Meter& meter)
      : options_(options), client_(client), meter_(meter) {}

  // The keys of one call must differ. Errors: those of the client; kUnavailable when the tables
  // have taken nothing for net::kOutageMax because their throughput is exceeded.
  void Put(Items items, const base::Deadline& deadline);
  void Delete(Items items, const base::Deadline& deadline);
  // The values of those keys that exist, read consistently.
  Values Get(Items items, const base::Deadline& deadline);

  // Remembers how large values are.
  void NoteValueSize(uint64_t size_bytes);

 private:
  enum class Kind { kPut, kDelete, kGet };

  // What one pass over some items has achieved.
  struct Pass {
    Items undone;  // what the service has left
    uint64_t read_bytes = 0;
  };

  // Goes on until all items are done. Values are added to `values`.
  void Run(Kind kind, Items items, const base::Deadline& deadline, Values& values);
  // Asks once for each item.
  Pass RunOnce(Kind kind, const Items& items, const base::Deadline& deadline, Values& values);
  // The first batch of the rest.
  std::span<const DynamoDbBatchItem> CutBatch(Kind kind,
                                              std::span<const DynamoDbBatchItem> rest) const;
  DynamoDbCall CallOf(Kind kind, std::span<const DynamoDbBatchItem> batch) const;
  // Takes over what the answer holds and what it leaves undone; counts the units.
  void Take(Kind kind, std::span<const DynamoDbBatchItem> batch, const DynamoDbAnswer& answer,
            Values& values, Pass& pass);
  std::string Describe(Kind kind, std::span<const DynamoDbBatchItem> items) const;

  const DynamoDbOptions& options_;
  DynamoDbClient& client_;
  Meter& meter_;
  std::atomic<uint64_t> value_size_max_seen_bytes_{0};
  std::atomic<uint64_t> next_seed_{0};
};

}  // namespace lambdaml::store
