// What a job has reached, on disk: an append-only file of records, from which a restarted server
// goes on, and from which results that memory need not hold are read again.
//
//   journal = record*
//   record  = header body
//   header  = magic:"LMLJ" kind:u32 checksum:u64 generation:u64 round:u64 announcement:u64
//             body_size:u64 slice:u32 slice_count:u32 count:u32 flags:u32     ; 64 bytes, LE
//
// checksum is XXH3-64 of the header's bytes from `generation` on and of the body. A record is
// written before anybody is told what it says, in one call of writev(2): it survives the end of the
// process at any moment. It is not forced to the disk at once (a power failure may lose the latest
// records; jobs have checkpoints for that). What stands behind the last whole record is the rest of
// an interrupted write, and is cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/file.h"

namespace lambdaml::ps {

enum class RecordKind : uint32_t {
  kJob = 1,  // first: round = incarnation, count = worker_count, flags = keeps_rounds; body = name
  kResult = 2,   // generation, round, slice, slice_count, announcement; body = message
  kRelease = 3,  // rounds before (generation, round) are not needed any more
  kModel = 4,    // slice, slice_count; body = message: a slice of the shared model as a whole
  kMerge = 5,    // slice, slice_count, count = rank, round = number of the merge; body = the change
  // Of LambdaML's service (lambdaml_models.h), one model to a journal:
  kState = 6,  // count = parallelism, round = finished iterations; body = values, float64
  kPull = 7,   // of the present iteration, by worker `count`
  kPush = 8,   // of the present iteration, by worker `count`; body = the change, float64
  kName = 9,   // first: body = the model's id
};

struct Record {
  RecordKind kind = RecordKind::kJob;
  uint64_t generation = 0;
  uint64_t round = 0;
  uint64_t announcement = 0;
  uint32_t slice = 0;
  uint32_t slice_count = 0;
  uint32_t count = 0;
  uint32_t flags = 0;
  base::ByteSpan body = {};
};

// Where a record's body stands in its journal.
struct BodyPlace {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Threads: any, except for Replace. Errors of all calls: kResourceExhausted (disk full), …
class Journal {
 public:
  // Receives each record of an opened journal in order; the body is valid during the call.
  using Visitor = std::function<void(const Record& record, const BodyPlace& body)>;

  // Opens a journal, or makes an empty one, and shows what stands in it.
  Journal(std::string path, const Visitor& visit);

  // Appends a record; returns where its body stands.
  BodyPlace Append(const Record& record);
  base::Blob Read(const BodyPlace& place) const;

  // Replaces the journal by what `write` appends to a new one: the old stays whole until the new
  // is. No other call may be under way.
  void Replace(const std::function<void(Journal&)>& write);

  // Empties the journal.
  void Clear();
  // Forces everything to the disk.
  void Sync() const;
  // Deletes the file; the journal is of no use any more.
  void Remove();

  uint64_t size_bytes() const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  base::FileDescriptor file_;
  mutable std::mutex mutex_;
  uint64_t end_ = 0;
};

}  // namespace lambdaml::ps
