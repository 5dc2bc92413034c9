// One synchronisation of 4 worker processes over the file store, beside what cannot be avoided.
//
// Short vectors (1 KB): the floor is the same message graph over pipes, by the same processes: who
// sleeps until whose message has come is the same, and a pipe carries 1 KB and wakes its sleeper
// with one system call at each end. Whatever lets sleeping processes exchange these messages has to
// schedule the same wake-ups; what a round takes beyond that is the channel's own cost. Blocks of
// rounds alternate between pipes and store, so that both see the same machine.
//
// Long vectors (12 MB): bytes written and read by all ranks over time, beside copying a file of
// that size in the same folder (one write and one read of it) and beside memcpy.
//
// Then both patterns at lengths between, for the cross-over of docs/collectives.md.
//
// Usage: sync_bench [FOLDER], /dev/shm by default.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/store/file_store.h"

namespace lambdaml {
namespace {

constexpr int kRanks = 4;
constexpr size_t kShortLength = 256;  // 1 KB of float32
constexpr int kBlocks = 21;
constexpr int kShortRoundsPerBlock = 200;
// 1 KB to 12 MB.
constexpr std::array<size_t, 7> kLengths = {256,     4096,      16'384,   65'536,
                                            262'144, 1'048'576, 3'000'000};
constexpr size_t kLongLength = kLengths.back();
constexpr int kRoundsPerLength = 21;

using comm::Pattern;

// A pipe for each ordered pair of ranks.
class PipeMesh {
 public:
  PipeMesh() {
    for (auto& row : pipes_) {
      for (auto& ends : row) {
        if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
      }
    }
  }
  void Send(int from, int to, const std::vector<float>& message) const {
    const size_t size = message.size() * sizeof(float);
    if (::write(EndsOf(from, to)[1], message.data(), size) != static_cast<ssize_t>(size)) {
      throw std::runtime_error("write");
    }
  }
  void Receive(int from, int to, std::vector<float>& message) const {
    auto* data = reinterpret_cast<char*>(message.data());
    size_t left = message.size() * sizeof(float);
    while (left > 0) {
      const ssize_t count = ::read(EndsOf(from, to)[0], data, left);
      if (count <= 0) throw std::runtime_error("read");
      data += count;
      left -= static_cast<size_t>(count);
    }
  }

 private:
  const std::array<int, 2>& EndsOf(int from, int to) const {
    return pipes_[static_cast<size_t>(from)][static_cast<size_t>(to)];
  }

  std::array<std::array<std::array<int, 2>, kRanks>, kRanks> pipes_ = {};
};

// The message graphs of the two patterns over pipes; the additions are the same too.
void PipeReduce(const PipeMesh& mesh, int rank, std::vector<float>& vector) {
  std::vector<float> other(vector.size());
  if (rank != 0) {
    mesh.Send(rank, 0, vector);
    mesh.Receive(0, rank, vector);
    return;
  }
  for (int peer = 1; peer < kRanks; ++peer) {
    mesh.Receive(peer, 0, other);
    for (size_t i = 0; i < vector.size(); ++i) vector[i] += other[i];
  }
  for (int peer = 1; peer < kRanks; ++peer) mesh.Send(0, peer, vector);
}

void PipeReduceScatter(const PipeMesh& mesh, int rank, std::vector<float>& vector) {
  const size_t size = vector.size() / kRanks;
  const auto chunk = [&](int of) {
    const auto begin = vector.begin() + static_cast<ptrdiff_t>(size) * of;
    return std::vector<float>(begin, begin + static_cast<ptrdiff_t>(size));
  };
  for (int step = 1; step < kRanks; ++step) {
    const int peer = (rank + step) % kRanks;
    mesh.Send(rank, peer, chunk(peer));
  }
  std::vector<float> sum = chunk(rank);
  std::vector<float> other(size);
  for (int peer = 0; peer < kRanks; ++peer) {
    if (peer == rank) continue;
    mesh.Receive(peer, rank, other);
    for (size_t i = 0; i < size; ++i) sum[i] += other[i];
  }
  for (int peer = 0; peer < kRanks; ++peer) {
    if (peer != rank) mesh.Send(rank, peer, sum);
  }
  for (int peer = 0; peer < kRanks; ++peer) {
    if (peer != rank) mesh.Receive(peer, rank, other);
    const auto& values = peer == rank ? sum : other;
    std::copy(values.begin(), values.end(), vector.begin() + static_cast<ptrdiff_t>(size) * peer);
  }
}

// What rank 0 measures, in memory that the parent sees too.
struct Results {
  double pipe_us[kBlocks * kShortRoundsPerBlock];
  double store_us[kBlocks * kShortRoundsPerBlock];
  double length_s[kLengths.size()][kRoundsPerLength];
  uint64_t long_bytes;  // written and read per round of the longest vector, by all ranks
};

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void Fill(int rank, std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    vector[i] = static_cast<float>(rank + 1) + static_cast<float>(i % 7);
  }
}

void Verify(const std::vector<float>& vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    const auto expected = static_cast<float>(kRanks * (kRanks + 1) / 2 + kRanks * (i % 7));
    if (vector[i] != expected) throw std::runtime_error("wrong sum");
  }
}

double TimeOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Times sums of one length on rank 0; returns the bytes this rank wrote and read per round.
uint64_t TimeLength(int rank, size_t length, comm::Communicator& communicator, store::Store& store,
                    std::span<double> seconds) {
  std::vector<float> vector(length);
  Fill(rank, vector);
  communicator.AllReduceSum({}, vector);
  Verify(vector);
  const store::Counters before = store.counters();
  for (double& round_s : seconds) {
    Fill(rank, vector);
    communicator.AllGather({});  // all start together
    const double elapsed_s = TimeOf([&] { communicator.AllReduceSum({}, vector); });
    if (rank == 0) round_s = elapsed_s;
  }
  const store::Counters after = store.counters();
  return (after.bytes_read - before.bytes_read + after.bytes_written - before.bytes_written) /
         seconds.size();
}

void RunRank(int rank, Pattern pattern, const PipeMesh& mesh, const std::string& folder,
             Results& results) {
  store::FileStore store(folder);
  const comm::Membership membership = {.job = "bench", .rank = rank, .worker_count = kRanks};
  const auto communicator = comm::MakeCommunicator(pattern, store, membership);
  const auto over_pipes = pattern == Pattern::kReduce ? PipeReduce : PipeReduceScatter;

  std::vector<float> vector(kShortLength);
  Fill(rank, vector);
  over_pipes(mesh, rank, vector);
  Verify(vector);
  Fill(rank, vector);
  communicator->AllReduceSum({}, vector);
  Verify(vector);

  for (int block = 0; block < kBlocks; ++block) {
    for (int round = 0; round < kShortRoundsPerBlock; ++round) {
      const double seconds = TimeOf([&] { over_pipes(mesh, rank, vector); });
      if (rank == 0) results.pipe_us[block * kShortRoundsPerBlock + round] = seconds * 1e6;
    }
    for (int round = 0; round < kShortRoundsPerBlock; ++round) {
      const double seconds = TimeOf([&] { communicator->AllReduceSum({}, vector); });
      if (rank == 0) results.store_us[block * kShortRoundsPerBlock + round] = seconds * 1e6;
    }
  }

  for (size_t i = 0; i < kLengths.size(); ++i) {
    const uint64_t bytes = TimeLength(rank, kLengths[i], *communicator, store, results.length_s[i]);
    if (kLengths[i] == kLongLength)
      __atomic_fetch_add(&results.long_bytes, bytes, __ATOMIC_RELAXED);
  }
}

// Seconds to write a file as long as the vector and read it back, and to memcpy as much.
struct CopySeconds {
  double file = 0;
  double memory = 0;
};

CopySeconds MeasureCopies(const std::string& folder) {
  std::vector<float> from(kLongLength, 1.0F);
  std::vector<float> to(kLongLength);
  const auto bytes = std::as_bytes(std::span(from));
  std::vector<double> file_s;
  std::vector<double> memory_s;
  for (int i = 0; i < kRoundsPerLength; ++i) {
    file_s.push_back(TimeOf([&] {
      base::WriteFileAtomic(folder + "/copy", bytes);
      const base::Blob blob = base::MapFile(folder + "/copy", true);
      std::memcpy(to.data(), blob.data(), blob.size());
    }));
    memory_s.push_back(TimeOf([&] { std::memcpy(to.data(), from.data(), bytes.size()); }));
    from[static_cast<size_t>(i)] = to[static_cast<size_t>(i)] + 1.0F;
  }
  ::unlink((folder + "/copy").c_str());
  return {Median(file_s), Median(memory_s)};
}

// Runs all ranks of one pattern and returns what they measured.
Results Measure(Pattern pattern, const std::string& folder) {
  const PipeMesh mesh;
  void* shared =
      ::mmap(nullptr, sizeof(Results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("mmap");
  auto& results = *new (shared) Results();

  std::vector<pid_t> children;
  for (int rank = 0; rank < kRanks; ++rank) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    try {
      RunRank(rank, pattern, mesh, folder, results);
      ::_exit(0);
    } catch (const std::exception& error) {
      fmt::print(stderr, "rank {}: {}\n", rank, error.what());
      ::_exit(1);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) throw std::runtime_error("a rank failed");
  }
  const Results copy = results;
  ::munmap(shared, sizeof(Results));
  return copy;
}

void PrintShort(const char* name, const Results& results) {
  const double pipe_us = Median({std::begin(results.pipe_us), std::end(results.pipe_us)});
  const double store_us = Median({std::begin(results.store_us), std::end(results.store_us)});
  fmt::print(
      "{:14}  1 KB: {:4.0f} us a round, over pipes {:3.0f} us: {:4.0f} us above, ratio {:.1f}\n",
      name, store_us, pipe_us, store_us - pipe_us, store_us / pipe_us);
}

double MedianOf(const Results& results, size_t length) {
  const auto& seconds = results.length_s[length];
  return Median({std::begin(seconds), std::end(seconds)});
}

void PrintLong(const char* name, const Results& results, const CopySeconds& copy) {
  const double seconds = MedianOf(results, kLengths.size() - 1);
  const auto bytes = static_cast<double>(results.long_bytes);
  const double copied = 2.0 * kLongLength * sizeof(float);
  const double ratio = (bytes / seconds) / (copied / copy.file);
  fmt::print(
      "{:14} 12 MB: {:4.1f} ms a round, {:.0f} MB written and read, {:.1f} GB/s: {:.2f} times "
      "one file copy\n",
      name, seconds * 1e3, bytes / 1e6, bytes / seconds / 1e9, ratio);
}

void Run(const std::string& parent) {
  const base::TemporaryDirectory folder(parent, "lambdaml_bench_");
  const Results reduce = Measure(Pattern::kReduce, folder.path() + "/reduce");
  const Results scatter = Measure(Pattern::kReduceScatter, folder.path() + "/reduce_scatter");
  const CopySeconds copy = MeasureCopies(folder.path());
  PrintShort("reduce", reduce);
  PrintShort("reduce_scatter", scatter);
  const double copied = 2.0 * kLongLength * sizeof(float);
  fmt::print(
      "one copy       12 MB: through a file {:.1f} ms, {:.1f} GB/s; memcpy {:.1f} ms, {:.1f} "
      "GB/s\n",
      copy.file * 1e3, copied / copy.file / 1e9, copy.memory * 1e3, copied / copy.memory / 1e9);
  PrintLong("reduce", reduce, copy);
  PrintLong("reduce_scatter", scatter, copy);
  for (size_t i = 0; i < kLengths.size(); ++i) {
    const double reduce_s = MedianOf(reduce, i);
    const double scatter_s = MedianOf(scatter, i);
    fmt::print("{:9} bytes: reduce {:7.3f} ms, reduce_scatter {:7.3f} ms, ratio {:.2f}\n",
               kLengths[i] * sizeof(float), reduce_s * 1e3, scatter_s * 1e3, reduce_s / scatter_s);
  }
}

}  // namespace
}  // namespace lambdaml

int main(int argc, char** argv) {
  try {
    lambdaml::Run(argc > 1 ? argv[1] : "/dev/shm");
  } catch (const std::exception& error) {
    fmt::print(stderr, "sync_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
