// One rank's way to its job on a parameter server: rounds, the shared model, and all that keeps
// them going when connections break or the server starts anew.
//
// Every call is repeated over a new connection, with back-off, until its deadline or until the
// server has been away for net::kOutageMax. Repeating is safe: the server counts contributions and
// merges once. A server that has started anew without the job (it has no --dir, or lost it) is
// noticed by the job's incarnation.
//
// Vectors are cut into slices of kSliceLength elements; several travel at once, each over a
// connection of its own.
//
// Requests: a round is one call for each slice, and one more for every kWaitMax of waiting; a merge
// is one call for each slice.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/ps/connection.h"
#include "lambdaml/ps/slice_call.h"
#include "lambdaml/wire/float16.h"

namespace lambdaml::ps {

inline constexpr size_t kSliceLength = size_t{1} << 18;              // 1 MiB of float32
inline constexpr base::Duration kWaitMax = std::chrono::seconds(5);  // in one call

struct ClientCounters {
  uint64_t requests = 0;
  uint64_t contributions = 0;  // requests that bring a vector or blob, counted above too
  uint64_t retries = 0;        // requests sent again, counted above too
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  base::Duration waiting = {};  // inside calls of rounds
};

// What a round came to, beside the sums.
struct RoundOutcome {
  bool is_complete = false;
  std::vector<int> missing_ranks = {};  // if not complete
  uint64_t announcement = 0;            // rank 0's
};

// Threads: one. Errors of all calls: kUnavailable if the server is away for too long, or has lost
// the job; kDeadlineExceeded; kCorrupt for an answer that does not fit; what the server refuses.
class Client {
 public:
  // Connects with the first call. `rank` is 0..spec.worker_count-1.
  Client(ServerAddress address, JobSpec spec, int rank);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Makes the job or finds it.
  JobState Open(const base::Deadline& deadline);

  // Contributes to a round and replaces scalars and vector by the sums over all ranks, in rank
  // order. Not complete if the deadline passes first. The vector travels, and comes back, rounded
  // to the precision.
  RoundOutcome ReduceSum(const RoundId& round, uint64_t announcement, std::span<double> scalars,
                         std::span<float> vector, const base::Deadline& deadline,
                         wire::Precision precision = wire::Precision::kFloat32);
  // The same without contributing or waiting: complete if the round is finished.
  RoundOutcome TryResult(const RoundId& round, std::span<double> scalars, std::span<float> vector,
                         const base::Deadline& deadline,
                         wire::Precision precision = wire::Precision::kFloat32);
  // Contributes a blob; sets *blobs to those of all ranks. Not complete as above.
  RoundOutcome Gather(const RoundId& round, base::ByteSpan contribution,
                      std::vector<base::Blob>* blobs, const base::Deadline& deadline);
  // Nobody will ask for a round before this one any more.
  void Release(const RoundId& before, const base::Deadline& deadline);

  // Makes the shared model if no rank has, sets `model` to its present state. Returns the number of
  // this rank's merges that are in all of it.
  uint64_t JoinModel(std::span<float> model, const base::Deadline& deadline);
  // Adds this rank's merge of that number, 1, 2, …, and sets `model` to the result. Returns the
  // number of this rank's merges that are in it: more than `number` if another invocation of this
  // rank merges too.
  uint64_t MergeModel(uint64_t number, std::span<const float> change, std::span<float> model,
                      const base::Deadline& deadline);

  ClientCounters counters() const;
  std::string place() const;  // "host:port"

 private:
  enum class Aim { kContribute, kTry };

  std::unique_ptr<Connection> Take(const base::Deadline& deadline);
  void GiveBack(std::unique_ptr<Connection> connection);
  // Runs work(connection), again and again while the server is away.
  template <typename Work>
  auto Repeat(const base::Deadline& deadline, const Work& work);
  SliceAnswer Exchange(SliceCall call, Aim aim, AnswerPlace place, const base::Deadline& deadline);
  void ForEachSlice(size_t length, const std::function<void(uint32_t slice)>& work);
  SliceCall CallOf(const RoundId& round, uint32_t slice, size_t length) const;
  RoundOutcome Reduce(const RoundId& round, Aim aim, uint64_t announcement,
                      std::span<double> scalars, std::span<float> vector,
                      const base::Deadline& deadline, wire::Precision precision);
  uint64_t Merge(uint64_t number, std::span<const float> change, std::span<float> model,
                 const base::Deadline& deadline);

  const ServerAddress address_;
  const JobSpec spec_;
  const int rank_;
  ClientMeter meter_;
  std::atomic<uint64_t> retries_{0};
  std::atomic<base::Duration::rep> waiting_ns_{0};
  std::unique_ptr<base::ThreadPool> lanes_;  // made when a vector has several slices
  std::mutex mutex_;                         // guards the members below
  std::vector<std::unique_ptr<Connection>> idle_;
  std::optional<uint64_t> incarnation_;
};

// Forgets a job, as Client::Close does; one that is not there is no error. Errors: as Connection.
void CloseJob(const ServerAddress& address, const std::string& job, const base::Deadline& deadline);

// The server's state, as a JSON object. Errors: as Connection.
std::string FetchStatus(const ServerAddress& address, const base::Deadline& deadline);

}  // namespace lambdaml::ps
