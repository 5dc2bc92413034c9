// One synchronisation of 4 worker processes over each service, beside what it cannot do without.
//
// The floor is the same message graph by as many processes on the same server in the same run, but
// raw (raw_client.h): requests made beforehand and written to blocking sockets, answers taken and
// not looked at, no sums, no checksums. Who waits for whose message is woken by a semaphore in
// shared memory, so the floor never polls. Rounds of the floor and of the channel take turns, each
// from a barrier to a barrier, so that both see the same machine; medians are compared.
//
// Usage: channel_bench [S3|Memcached|Redis|DynamoDb|1KB|1MB|12MB|89MB]…, all by default.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <pthread.h>
#include <semaphore.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/wire/vector_codec.h"

#include "comm/raw_client.h"
#include "support/servers/services.h"

namespace lambdaml::bench {
namespace {

using comm::Pattern;

constexpr int kRanks = 4;
constexpr std::array<size_t, 4> kLengths = {256, 262'144, 3'000'000, 22'250'000};
constexpr std::array<const char*, 4> kLengthNames = {"1KB", "1MB", "12MB", "89MB"};
constexpr std::array<Pattern, 2> kPatterns = {Pattern::kReduce, Pattern::kReduceScatter};
constexpr size_t kRoundsMax = 200;
constexpr size_t kRoundsMin = 3;
constexpr size_t kRoundsBefore = 3;  // until every buffer has been used once
constexpr double kSecondsPerCase = 2.5;

struct Times {
  size_t count = 0;
  double floor_s[kRoundsMax];
  double round_s[kRoundsMax];
};

// What all ranks see.
struct Shared {
  pthread_barrier_t barrier;
  sem_t contributed[kRanks];  // of the rank that merges
  sem_t merged[kRanks];       // of the rank that reads
  bool goes_on = false;
  Times times[kPatterns.size()][kLengths.size()];
};

void Wait(sem_t& semaphore, int count) {
  for (int i = 0; i < count; ++i) {
    while (::sem_wait(&semaphore) != 0) continue;
  }
}

double TimeOf(Shared& shared, const std::function<void()>& work) {
  ::pthread_barrier_wait(&shared.barrier);
  const auto start = std::chrono::steady_clock::now();
  work();
  ::pthread_barrier_wait(&shared.barrier);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The message graph of a pattern with raw requests; the bytes are those of dense messages.
class Floor {
 public:
  Floor(int rank, Pattern pattern, size_t length, RawClient& client, Shared& shared)
      : rank_(rank), pattern_(pattern), client_(client), shared_(shared) {
    const size_t message_length = pattern == Pattern::kReduce ? length : length / kRanks;
    const base::Bytes message(wire::DenseSizeBytes(0, message_length), std::byte{65});
    for (int from = 0; from < kRanks; ++from) {
      client.Prepare(Sum(from), message);
      for (int to = 0; to < kRanks; ++to) client.Prepare(Term(from, to), message);
    }
  }

  void Round() {
    if (pattern_ == Pattern::kReduceScatter) {
      PutTerms([this](int peer) { return peer != rank_; });
      Merge();
      ReadSums([this](int peer) { return peer != rank_; });
    } else if (rank_ == 0) {
      Merge();
    } else {
      PutTerms([](int peer) { return peer == 0; });
      ReadSums([](int peer) { return peer == 0; });
    }
  }

 private:
  using Names = std::vector<std::string>;

  static std::string Term(int from, int to) { return fmt::format("term{}.{}", from, to); }
  static std::string Sum(int from) { return fmt::format("sum{}", from); }

  void PutTerms(const std::function<bool(int)>& goes_to) {
    Names names;
    for (int peer = 0; peer < kRanks; ++peer) {
      if (goes_to(peer)) names.push_back(Term(rank_, peer));
    }
    client_.Put(names);
    for (int peer = 0; peer < kRanks; ++peer) {
      if (goes_to(peer)) ::sem_post(&shared_.contributed[peer]);
    }
  }
  void Merge() {
    Wait(shared_.contributed[rank_], kRanks - 1);
    Names names;
    for (int peer = 0; peer < kRanks; ++peer) {
      if (peer != rank_) names.push_back(Term(peer, rank_));
    }
    client_.Get(names);
    client_.Put(Names{Sum(rank_)});
    for (int peer = 0; peer < kRanks; ++peer) {
      if (peer != rank_) ::sem_post(&shared_.merged[peer]);
    }
  }
  void ReadSums(const std::function<bool(int)>& comes_from) {
    Names names;
    for (int peer = 0; peer < kRanks; ++peer) {
      if (comes_from(peer)) names.push_back(Sum(peer));
    }
    Wait(shared_.merged[rank_], static_cast<int>(names.size()));
    client_.Get(names);
  }

  const int rank_;
  const Pattern pattern_;
  RawClient& client_;
  Shared& shared_;
};

void Fill(int rank, std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    vector[i] = static_cast<float>(rank + 1) + static_cast<float>(i % 7);
  }
}

void Verify(const std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    const size_t expected = kRanks * (kRanks + 1) / 2 + kRanks * (i % 7);
    if (vector[i] != static_cast<float>(expected)) throw std::runtime_error("wrong sum");
  }
}

// What the command line names, or everything of a kind of which it names nothing.
struct Selection {
  std::vector<std::string> names;

  bool Has(const std::string& name) const { return std::ranges::find(names, name) != names.end(); }
  bool HasService(const std::string& service) const {
    return Has(service) || std::ranges::none_of(test::AllServices(), [this](const auto& kind) {
             return Has(kind.name);
           });
  }
  // Throws for a name that is neither a service nor a length.
  void Check() const {
    for (const std::string& name : names) {
      const bool is_service = std::ranges::any_of(
          test::AllServices(), [&](const auto& kind) { return kind.name == name; });
      const bool is_length = std::ranges::find(kLengthNames, name) != std::end(kLengthNames);
      if (!is_service && !is_length) throw std::runtime_error("nothing is called " + name);
    }
  }
  // A case that takes minutes must be named.
  bool HasLength(const std::string& service, size_t l) const {
    if (Has(kLengthNames[l])) return true;
    if (service == "DynamoDb" && kLengths[l] > 10'000'000) return false;
    return std::ranges::none_of(kLengthNames, [this](const char* name) { return Has(name); });
  }
};

void RunRank(int rank, const test::ServiceKind& kind, const std::string& place,
             const Selection& selection, Shared& shared) {
  const test::Service& service = kind.shared();
  const auto store = service.Open(place, service.port());
  for (size_t p = 0; p < kPatterns.size(); ++p) {
    const comm::Membership membership = {
        .job = fmt::format("job{}", p), .rank = rank, .worker_count = kRanks};
    const auto communicator = comm::MakeCommunicator(kPatterns[p], *store, membership);
    for (size_t l = 0; l < kLengths.size(); ++l) {
      if (!selection.HasLength(kind.name, l)) continue;
      const auto client = MakeRawClient(kind.name, place, service.port(),
                                        store->capabilities().value_size_max_bytes);
      Floor floor(rank, kPatterns[p], kLengths[l], *client, shared);
      std::vector<float> vector(kLengths[l]);
      Fill(rank, vector);
      for (size_t round = 0; round < kRoundsBefore; ++round) {
        Fill(rank, vector);
        communicator->AllReduceSum({}, vector);
        Verify(vector);
        floor.Round();
      }

      Times& times = shared.times[p][l];
      const auto start = std::chrono::steady_clock::now();
      do {
        const double floor_s = TimeOf(shared, [&] { floor.Round(); });
        Fill(rank, vector);
        const double round_s = TimeOf(shared, [&] { communicator->AllReduceSum({}, vector); });
        if (rank == 0) {
          times.floor_s[times.count] = floor_s;
          times.round_s[times.count++] = round_s;
          const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
          shared.goes_on = times.count < kRoundsMin ||
                           (times.count < kRoundsMax && elapsed.count() < kSecondsPerCase);
        }
        ::pthread_barrier_wait(&shared.barrier);
      } while (shared.goes_on);
      Verify(vector);
    }
    communicator->Leave();
  }
}

double MedianMs(const double* seconds, size_t count) {
  std::vector<double> sorted(seconds, seconds + count);
  std::ranges::sort(sorted);
  return sorted[count / 2] * 1e3;
}

void Print(const test::ServiceKind& kind, const Shared& shared) {
  for (size_t l = 0; l < kLengths.size(); ++l) {
    for (size_t p = 0; p < kPatterns.size(); ++p) {
      const char* pattern = kPatterns[p] == Pattern::kReduce ? "reduce" : "reduce_scatter";
      const Times& times = shared.times[p][l];
      if (times.count == 0) {
        fmt::print("{:10} {:>6} {:15} left out\n", kind.name, kLengthNames[l], pattern);
        continue;
      }
      const double floor_ms = MedianMs(times.floor_s, times.count);
      const double round_ms = MedianMs(times.round_s, times.count);
      fmt::print("{:10} {:>6} {:15} {:9.2f} {:9.2f} {:6.2f}  ({} rounds)\n", kind.name,
                 kLengthNames[l], pattern, floor_ms, round_ms, round_ms / floor_ms, times.count);
    }
  }
  std::fflush(stdout);
}

void Measure(const test::ServiceKind& kind, const Selection& selection) {
  if (!kind.skip_reason.empty()) {
    fmt::print("{:10} left out: {}\n", kind.name, kind.skip_reason);
    return;
  }
  const std::string place = kind.shared().MakePlace();
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap");
  auto& shared = *new (memory) Shared();
  pthread_barrierattr_t attributes;
  ::pthread_barrierattr_init(&attributes);
  ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_barrier_init(&shared.barrier, &attributes, kRanks);
  for (int rank = 0; rank < kRanks; ++rank) {
    ::sem_init(&shared.contributed[rank], 1, 0);
    ::sem_init(&shared.merged[rank], 1, 0);
  }
  std::vector<pid_t> children;
  for (int rank = 0; rank < kRanks; ++rank) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    try {
      RunRank(rank, kind, place, selection, shared);
      ::_exit(0);
    } catch (const std::exception& error) {
      fmt::print(stderr, "{}, rank {}: {}\n", kind.name, rank, error.what());
      ::_exit(1);
    }
  }
  bool has_failed = false;
  for (size_t ended = 0; ended < children.size(); ++ended) {
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, 0);
    if (status == 0 || has_failed) continue;
    has_failed = true;  // the others wait for it at the barrier
    for (const pid_t other : children) {
      if (other != child) ::kill(other, SIGKILL);
    }
  }
  if (has_failed) throw std::runtime_error("a rank failed");
  Print(kind, shared);
  ::munmap(memory, sizeof(Shared));
}

void Run(const Selection& selection) {
  selection.Check();
  fmt::print("{:10} {:>6} {:15} {:>9} {:>9} {:>6}\n", "service", "size", "pattern", "floor ms",
             "round ms", "ratio");
  for (const test::ServiceKind& kind : test::AllServices()) {
    if (selection.HasService(kind.name)) Measure(kind, selection);
  }
}

}  // namespace
}  // namespace lambdaml::bench

int main(int argc, char** argv) {
  try {
    lambdaml::bench::Run({.names = {argv + 1, argv + argc}});
  } catch (const std::exception& error) {
    fmt::print(stderr, "channel_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
