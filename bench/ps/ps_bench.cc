// Rounds over the parameter server, beside what cannot be avoided and beside the alternatives, in
// one run. The server is the program `lambdaml ps`; workers are threads with a client each.
//
//   round    every worker contributes its vector and gets the sum
//   push     every worker contributes (the round is never complete), each slice over one of four
//            connections, as the client does in a round
//   pull     every worker gets the result of a finished round
//   floor    the same bytes through plain sockets over loopback, to a process that only waits for
//            all (floor_server.h); of a short vector, the round trips that are unavoidable
//   doubles  a round through LambdaML's methods, with lists of doubles (pull and push, as it has
//   it) Memcached, Redis   a round over these channels, pattern reduce
//
// Ratios are floor / ps for bytes (1 is the speed of plain sockets), and other / ps for
// alternatives (2: the parameter server is twice as fast). Blocks of rounds alternate between all,
// so that they see the same machine, and each figure is that of the fastest block: what else the
// machine does only ever adds. Results are verified before anything is timed.
//
// Usage: ps_bench [224B] [1MB] [12MB] [94MB] [short]     (default: all; short: fewer blocks)
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/ps/connection.h"
#include "lambdaml/wire/vector_codec.h"

#include "ps/floor_server.h"
#include "ps/lambdaml_rounds.h"
#include "support/servers/ps_server.h"
#include "support/servers/services.h"

namespace lambdaml::bench {
namespace {

using test::PsServer;

struct Size {
  const char* name;
  size_t length;
};
constexpr std::array<Size, 4> kSizes = {
    {{"224B", 56}, {"1MB", 250'000}, {"12MB", 3'000'000}, {"94MB", 23'500'000}}};
constexpr std::array<int, 4> kWorkerCounts = {1, 2, 4, 8};
constexpr int kLaneCount = 4;
constexpr size_t kLongestOfAlternatives = 3'000'000;

base::Deadline Soon() { return base::Deadline::After(std::chrono::minutes(5)); }

std::string FreshName() {
  static std::atomic<int> count{0};
  std::random_device random;
  return fmt::format("bench-{:08x}-{}", random(), count.fetch_add(1));
}

// One kind of round: what each worker does in it.
struct Subject {
  std::string name;
  std::function<void(int worker)> round;
  int rounds_per_block = 1;
  double seconds = std::numeric_limits<double>::infinity();  // of a round in the fastest block
};

// One block: its rounds by `worker_count` threads. Returns the seconds that a round took.
double TimeBlock(const Subject& subject, int worker_count) {
  std::barrier start(worker_count + 1);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < worker_count; ++worker) {
    threads.emplace_back([&, worker] {
      start.arrive_and_wait();
      for (int i = 0; i < subject.rounds_per_block; ++i) subject.round(worker);
    });
  }
  start.arrive_and_wait();
  const auto began = std::chrono::steady_clock::now();
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return took.count() / subject.rounds_per_block;
}

void Time(std::vector<Subject>& subjects, int worker_count, int blocks, double block_seconds) {
  // The first block of each warms up, and tells how many rounds fill one.
  for (Subject& subject : subjects) {
    TimeBlock(subject, worker_count);
    const double per_round = TimeBlock(subject, worker_count);
    subject.rounds_per_block = std::clamp(static_cast<int>(block_seconds / per_round), 1, 5000);
  }
  for (int block = 0; block < blocks; ++block) {
    for (Subject& subject : subjects) {
      subject.seconds = std::min(subject.seconds, TimeBlock(subject, worker_count));
    }
  }
}

// The workers' ends of everything that is timed.
class Case {
 public:
  Case(PsServer& server, size_t length, int worker_count)
      : server_(server), length_(length), worker_count_(worker_count) {
    const size_t bytes = length * sizeof(float);
    floor_round_ = std::make_unique<FloorServer>(worker_count, FloorServer::Round{bytes, bytes});
    floor_push_ = std::make_unique<FloorServer>(worker_count, FloorServer::Round{bytes, 0});
    floor_pull_ = std::make_unique<FloorServer>(worker_count, FloorServer::Round{0, bytes});
  }

  ~Case() {
    for (const std::string& job : jobs_) ps::CloseJob(server_.address(), job, Soon());
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  std::vector<Subject> Subjects(bool has_alternatives) {
    std::vector<Subject> subjects;
    subjects.push_back(Floor("round", *floor_round_));
    subjects.push_back(Round());
    subjects.push_back(Floor("push", *floor_push_));
    subjects.push_back(Push());
    subjects.push_back(Floor("pull", *floor_pull_));
    subjects.push_back(Pull());
    if (!has_alternatives) return subjects;
    subjects.push_back(Doubles());
    for (const test::ServiceKind& kind : test::AllServices()) {
      if (kind.name != "Memcached" && kind.name != "Redis") continue;
      // A single worker asks nothing of a store.
      if (kind.skip_reason.empty() && worker_count_ > 1) subjects.push_back(OverStore(kind));
    }
    return subjects;
  }

 private:
  struct Lane {
    Lane(const ps::ServerAddress& address, ps::ClientMeter& meter)
        : connection(address, meter, Soon()) {}

    ps::Connection connection;
    wire::MessageEncoder encoder;
  };
  struct Worker {
    std::unique_ptr<ps::Client> client;
    std::unique_ptr<base::ThreadPool> lanes;
    std::vector<std::unique_ptr<Lane>> idle_lanes;
    std::mutex mutex;  // guards idle_lanes
    std::unique_ptr<comm::Channel> channel;
    std::unique_ptr<comm::Communicator> communicator;
    std::unique_ptr<LambdamlRounds> doubles;
    std::vector<float> vector;
    uint64_t round = 0;
  };
  using Workers = std::shared_ptr<std::vector<Worker>>;

  Workers MakeWorkers() const {
    auto workers = std::make_shared<std::vector<Worker>>(static_cast<size_t>(worker_count_));
    for (Worker& worker : *workers) worker.vector.assign(length_, 1.0F);
    return workers;
  }
  static Worker& At(const Workers& workers, int index) {
    return (*workers)[static_cast<size_t>(index)];
  }
  void Verify(const Worker& worker) const {
    const auto sum = static_cast<float>(worker_count_);
    if (std::ranges::any_of(worker.vector, [sum](float value) { return value != sum; })) {
      throw base::Error(base::ErrorCode::kInternal, "a sum is wrong");
    }
  }

  static Subject Floor(const std::string& name, FloorServer& floor) {
    return {.name = "floor " + name, .round = [&floor](int worker) { floor.Run(worker); }};
  }

  Subject Round() {
    const Workers workers = MakeWorkers();
    const ps::JobSpec spec = {.job = jobs_.emplace_back(FreshName()),
                              .worker_count = worker_count_};
    for (int rank = 0; rank < worker_count_; ++rank) {
      At(workers, rank).client = std::make_unique<ps::Client>(server_.address(), spec, rank);
    }
    return {.name = "round", .round = [this, workers](int rank) {
              Worker& worker = At(workers, rank);
              const bool is_first = worker.round == 0;
              worker.client->ReduceSum({0, ++worker.round}, 0, {}, worker.vector, Soon());
              if (is_first) Verify(worker);
            }};
  }

  // Each worker has a job of two ranks, of which the other never comes; what has been pushed is
  // released when it has become some 100 MB.
  Subject Push() {
    const Workers workers = MakeWorkers();
    std::vector<std::string> names;
    for (Worker& worker : *workers) {
      names.push_back(jobs_.emplace_back(FreshName()));
      const int lane_count = static_cast<int>(std::min<size_t>(kLaneCount, SliceCount()));
      worker.lanes = std::make_unique<base::ThreadPool>(lane_count);
      for (int lane = 0; lane < lane_count; ++lane) {
        worker.idle_lanes.push_back(std::make_unique<Lane>(server_.address(), meter_));
      }
      worker.idle_lanes.front()->connection.OpenJob(
          {.job = names.back(), .worker_count = 2, .keeps_rounds = true}, Soon());
    }
    const uint64_t release_every = std::clamp<uint64_t>(25'000'000 / length_, 1, 1000);
    return {.name = "push", .round = [this, workers, names, release_every](int rank) {
              Worker& worker = At(workers, rank);
              const std::string& job = names[static_cast<size_t>(rank)];
              worker.lanes->ForEachBlock(SliceCount(),
                                         [&](size_t slice) { PushSlice(job, slice, worker); });
              if (++worker.round % release_every != 0) return;
              worker.idle_lanes.front()->connection.Release(job, {worker.round, 0}, Soon());
            }};
  }

  size_t SliceCount() const { return (length_ + ps::kSliceLength - 1) / ps::kSliceLength; }

  void PushSlice(const std::string& job, size_t slice, Worker& worker) const {
    std::unique_ptr<Lane> lane;
    {
      const std::lock_guard lock(worker.mutex);
      lane = std::move(worker.idle_lanes.back());
      worker.idle_lanes.pop_back();
    }
    const size_t begin = slice * ps::kSliceLength;
    const std::span<const float> part = std::span<const float>(worker.vector)
                                            .subspan(begin)
                                            .first(std::min(ps::kSliceLength, length_ - begin));
    const auto index = static_cast<uint32_t>(slice);
    const wire::MessageParts parts = lane->encoder.EncodeVectorInParts(
        {wire::MessageKind::kContribution, 1, 0, index}, {}, part);
    const ps::SliceCall call = {.job = job,
                                .round = {worker.round, 1},
                                .rank = 0,
                                .slice = index,
                                .slice_count = static_cast<uint32_t>(SliceCount()),
                                .message = base::Blob(parts.head, nullptr),
                                .message_rest = parts.payload};
    lane->connection.Call(ps::SliceMethod::kExchange, call, Soon());
    const std::lock_guard lock(worker.mutex);
    worker.idle_lanes.push_back(std::move(lane));
  }

  Subject Pull() {
    const Workers workers = MakeWorkers();
    const ps::JobSpec spec = {.job = jobs_.emplace_back(FreshName()),
                              .worker_count = worker_count_,
                              .keeps_rounds = true};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < worker_count_; ++rank) {
      Worker& worker = At(workers, rank);
      worker.client = std::make_unique<ps::Client>(server_.address(), spec, rank);
      threads.emplace_back([&worker] {
        worker.client->ReduceSum({0, 1}, 0, {}, worker.vector, Soon());
      });
    }
    for (std::thread& thread : threads) thread.join();
    return {.name = "pull", .round = [this, workers](int rank) {
              Worker& worker = At(workers, rank);
              if (!worker.client->TryResult({0, 1}, {}, worker.vector, Soon()).is_complete) {
                throw base::Error(base::ErrorCode::kInternal, "a result is missing");
              }
              if (worker.round++ == 0) Verify(worker);
            }};
  }

  Subject Doubles() {
    const Workers workers = MakeWorkers();
    const std::string model = FreshName();
    for (int rank = 0; rank < worker_count_; ++rank) {
      At(workers, rank).doubles =
          std::make_unique<LambdamlRounds>(server_.port(), model, rank, worker_count_, length_);
    }
    return {.name = "doubles", .round = [workers](int rank) { At(workers, rank).doubles->Run(); }};
  }

  Subject OverStore(const test::ServiceKind& kind) {
    const Workers workers = MakeWorkers();
    test::Service& service = kind.shared();
    const std::string url = service.Url(service.MakePlace(), service.port());
    const std::string job = FreshName();
    for (int rank = 0; rank < worker_count_; ++rank) {
      Worker& worker = At(workers, rank);
      worker.channel = comm::OpenChannel(url);
      worker.communicator = worker.channel->MakeCommunicator(
          comm::Pattern::kReduce, {.job = job, .rank = rank, .worker_count = worker_count_});
    }
    return {.name = kind.name, .round = [workers](int rank) {
              Worker& worker = At(workers, rank);
              worker.communicator->AllReduceSum({}, worker.vector);
            }};
  }

  PsServer& server_;
  const size_t length_;
  const int worker_count_;
  ps::ClientMeter meter_;
  std::vector<std::string> jobs_;
  std::unique_ptr<FloorServer> floor_round_;
  std::unique_ptr<FloorServer> floor_push_;
  std::unique_ptr<FloorServer> floor_pull_;
};

void Print(const Size& size, int worker_count, const std::vector<Subject>& subjects) {
  const auto seconds = [&](const std::string& name) -> std::optional<double> {
    for (const Subject& subject : subjects) {
      if (subject.name == name) return subject.seconds;
    }
    return std::nullopt;
  };
  const double round = *seconds("round");
  std::string line = fmt::format("{:>5} {:>7}", size.name, worker_count);
  for (const char* name : {"round", "push", "pull"}) {
    const double of_ps = *seconds(name);
    const double of_floor = *seconds(std::string("floor ") + name);
    line += fmt::format("  {:>9.3f} {:>5.2f}", of_ps * 1e3, of_floor / of_ps);
  }
  line += fmt::format("  {:>8.0f}/s", 1 / round);
  for (const char* name : {"doubles", "Memcached", "Redis"}) {
    const auto other = seconds(name);
    line += other ? fmt::format(" {:>9.1f}", *other / round) : fmt::format(" {:>9}", "-");
  }
  std::puts(line.c_str());
  std::fflush(stdout);
}

int Main(const std::vector<std::string>& arguments) {
  const auto has = [&](const std::string& word) {
    return std::ranges::find(arguments, word) != arguments.end();
  };
  const bool is_short = has("short");
  PsServer server({.arguments = {"--memory_mb", "8192", "--message_mb", "512"}});
  for (const test::ServiceKind& kind : test::AllServices()) {
    const bool is_used = kind.name == "Memcached" || kind.name == "Redis";
    if (is_used && kind.skip_reason.empty()) kind.shared();
  }
  std::puts("milliseconds, and the floor's time over it (1: as fast as plain sockets); then how");
  std::puts("many times as long a round takes by lists of doubles, over Memcached, over Redis");
  std::puts(
      " size workers      round            push            pull      rounds     "
      "  doubles Memcached     Redis");
  for (const Size& size : kSizes) {
    const bool is_chosen = has(size.name) || std::ranges::none_of(kSizes, [&](const Size& other) {
                             return has(other.name);
                           });
    if (!is_chosen) continue;
    for (const int worker_count : kWorkerCounts) {
      Case one(server, size.length, worker_count);
      std::vector<Subject> subjects = one.Subjects(size.length <= kLongestOfAlternatives);
      Time(subjects, worker_count, is_short ? 5 : 9, is_short ? 0.04 : 0.08);
      Print(size, worker_count, subjects);
    }
  }
  return 0;
}

}  // namespace
}  // namespace lambdaml::bench

int main(int argc, char** argv) {
  return lambdaml::bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}
