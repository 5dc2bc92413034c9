// Where the states of a job are kept between generations: files and their names (docs/formats.md).
//
//   latest                  "<job> <n>": the newest checkpoint whose parts all stand; n is 0 if the
//                           job has none, or is asynchronous
//   <job>/<n>.manifest      what checkpoint n is of, and the sizes and checksums of its parts;
//                           written last, so a checkpoint with a manifest is whole
//   <job>/<n>.shared.<x>    the part of the state that all ranks have in common
//   <job>/<n>.rank<r>.<x>   rank r's own part; x is the invocation's, so that two of one rank do
//   not
//                           write the same file
//   <job>/async.rank<r>     asynchronous training: rank r's state, each rank for itself
//   <job>/job               the job as its trigger was given it, for --resume, and its checksum
//
// The newest two checkpoints of a job stay. Only file and S3 stores keep what they are given;
// others are refused.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"
#include "lambdaml/store/store.h"

namespace lambdaml::train {

// A part as its manifest describes it.
struct CheckpointPart {
  std::string name;  // relative to the job's folder
  uint64_t size_bytes = 0;
  std::string checksum = {};  // base::ChecksumHex of base::Checksum64

  bool operator==(const CheckpointPart&) const = default;
};

base::Json ToJson(const CheckpointPart& part);
// Errors: kInvalidData.
CheckpointPart CheckpointPartFromJson(const base::Json& json);

struct CheckpointManifest {
  int64_t number = 0;  // 1, 2, …
  std::string job_id;
  uint64_t generation = 0;    // the one that goes on from it
  uint64_t rounds = 0;        // of that generation: it goes on after them
  uint64_t rounds_ended = 0;  // of the generation that has saved it
  int64_t epochs = 0;         // that are over
  CheckpointPart shared;
  std::vector<CheckpointPart> ranks;

  bool operator==(const CheckpointManifest&) const = default;
};

// Threads: one.
class Checkpoints {
 public:
  // Of the job with this id. Errors: kInvalidArgument if the place does not keep what it is given.
  Checkpoints(const std::string& url, std::string job_id);

  // The id of the job whose checkpoint is the newest in a place; "" if there is none.
  static std::string JobIn(const std::string& url, const base::Deadline& deadline);

  // The job's newest whole checkpoint, if it has one. Errors: kCorrupt.
  std::optional<CheckpointManifest> Latest(const base::Deadline& deadline);

  // Whether there is a newer whole checkpoint than `number`; 0: any. One request, or two.
  bool HasNewer(int64_t number, const base::Deadline& deadline);

  // Waits until checkpoint `number`, or a newer one, is whole; false if the deadline passed first.
  bool WaitFor(int64_t number, const base::Deadline& deadline);

  // Checks all parts of the newest checkpoint; if one is damaged, makes the checkpoint before it
  // the newest, and *warning says why. For a job that starts anew from here: a rank of a running
  // job must not go back behind what the others have seen. Errors: kNotFound if there is none;
  // kCorrupt if neither is whole.
  CheckpointManifest Settle(const base::Deadline& deadline, std::string* warning);

  // Write the parts of checkpoint `number`.
  CheckpointPart PutShared(int64_t number, base::ByteSpan bytes, const base::Deadline& deadline);
  CheckpointPart PutRank(int64_t number, int64_t rank, base::ByteSpan bytes,
                         const base::Deadline& deadline);
  // The last step of a checkpoint, for rank 0 once all parts stand. Nothing if a newer one is
  // known: this invocation was paused, and another has gone on.
  void PutManifest(const CheckpointManifest& manifest, const base::Deadline& deadline);

  // Parts, checked against the manifest. Errors: kCorrupt, kNotFound, naming the part.
  base::Blob Shared(const CheckpointManifest& manifest, const base::Deadline& deadline);
  base::Blob Rank(const CheckpointManifest& manifest, int64_t rank, const base::Deadline& deadline);

  // Deletes a rank's part of a checkpoint, and with rank 0 the manifest and what all have in
  // common.
  void Delete(const CheckpointManifest& manifest, int64_t rank, const base::Deadline& deadline);

  void PutAsync(int64_t rank, base::ByteSpan bytes, const base::Deadline& deadline);
  std::optional<base::Blob> Async(int64_t rank, const base::Deadline& deadline);

  void PutJob(const std::string& job, const base::Deadline& deadline);
  // Errors: kNotFound if it is not there, kCorrupt.
  std::string Job(const base::Deadline& deadline);

  // Whether the job can be resumed.
  bool HasState(const base::Deadline& deadline);

  // Deletes everything that the job has left here.
  void DeleteAll(const base::Deadline& deadline);

  const store::Store& store() const { return *store_; }

 private:
  std::optional<CheckpointManifest> ReadManifest(int64_t number, const base::Deadline& deadline);
  std::optional<int64_t> LatestNumber(const base::Deadline& deadline);
  void CheckParts(const CheckpointManifest& manifest, const base::Deadline& deadline);
  CheckpointPart Put(std::string name, base::ByteSpan bytes, const base::Deadline& deadline);
  base::Blob Part(const CheckpointPart& part, const base::Deadline& deadline);

  std::string Key(const std::string& name) const;
  void PutLatest(int64_t number, const base::Deadline& deadline);
  // The same where it is no step back; false if a newer checkpoint is known.
  bool RaiseLatest(int64_t number, const base::Deadline& deadline);

  std::unique_ptr<store::Store> store_;
  const std::string job_id_;
  const std::string suffix_;  // of this invocation's parts
};

}  // namespace lambdaml::train
