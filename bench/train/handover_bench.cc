// What it costs that a job outlives its functions: whole runs of `lambdaml train` on this machine.
//
//   handover_bench
//
// 1. A checkpoint, and a hand-over from one generation to the next (with its checkpoint), for each
//    workload: what a run that saves, or is cut, after every epoch takes longer than one that is
//    neither; as a share of an epoch, and of a generation of Lambda's 15 minutes.
// 2. A round of 1 MB with results kept for restarts over one of --max_restarts 0.
// 3. What a run takes longer when a worker is killed, over what nobody could spare it: the start of
//    a process, its load, and the computing of the rounds since the last checkpoint once more.
//
// By turns, medians. Verified: each run's model is the undisturbed run's, byte for byte.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/http_invoker.h"
#include "lambdaml/faas/local_platform.h"

#include "support/child_program.h"

namespace {

using namespace lambdaml;
using Arguments = std::vector<std::string>;

constexpr int kTurns = 5;
constexpr double kGenerationSeconds = 900;
constexpr base::Duration kRunMax = std::chrono::minutes(3);

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Arguments Join(Arguments first, const Arguments& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

// What a run says of itself.
struct Run {
  std::string model;
  double wall_s = 0;
  int64_t epochs = 0;
  int64_t generations = 0;
  double load_s = 0;  // the rest: of a worker, on average
  double compute_s = 0;
  std::vector<double> epoch_s;
};

class Bench {
 public:
  void Lambdaml(const Arguments& arguments) { Finish(*Start(arguments)); }

  std::unique_ptr<test::ChildProgram> Start(const Arguments& arguments) const {
    return std::make_unique<test::ChildProgram>(
        test::ProgramOptions{.program = LAMBDAML_PROGRAM,
                             .arguments = arguments,
                             .environment = {"PATH=/usr/bin:/bin"},
                             .working_directory = folder_.path()});
  }

  Run Train(const Arguments& arguments) {
    return Finish(*Start(Join(Join({"train"}, arguments), {"--output", "m", "--log", "log"})));
  }

  Run Finish(test::ChildProgram& program) const {
    const test::ProgramResult result = program.Wait(kRunMax);
    if (result.status.ToString() != "exit status 0") throw std::runtime_error(result.err);
    Run run;
    if (!base::FileExists(Path("log"))) return run;
    run.model = base::MapFile(Path("m")).text();
    const base::Blob log = base::MapFile(Path("log"));
    for (std::string_view text = log.text(); !text.empty();) {
      const size_t end = std::min(text.find('\n'), text.size() - 1);
      const base::Json record = base::Json::Parse(text.substr(0, end), "log");
      text.remove_prefix(end + 1);
      if (record.At("event").AsString() == "epoch") {
        run.epoch_s.push_back(record.At("seconds").AsNumber());
      } else if (record.At("event").AsString() == "summary") {
        const base::Json& seconds = record.At("seconds");
        run.wall_s = record.At("wall_seconds").AsNumber();
        run.epochs = record.At("epochs").AsInteger();
        run.generations = record.At("generations").AsInteger();
        run.load_s = seconds.At("load").AsNumber();
        run.compute_s = seconds.At("compute").AsNumber();
      }
    }
    return run;
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  const std::string& folder() const { return folder_.path(); }

 private:
  const base::TemporaryDirectory folder_{std::filesystem::temp_directory_path(), "handover-bench-"};
};

void Require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

struct Workload {
  std::string name;
  Arguments arguments;
};

void CompareHandOvers(Bench& bench, const Workload& workload) {
  std::vector<double> whole_s;
  std::vector<double> saving_s;
  std::vector<double> cut_s;
  Run whole;
  int64_t generations = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    whole = bench.Train(workload.arguments);
    const Run saving = bench.Train(Join(workload.arguments, {"--checkpoint_every", "1"}));
    const Run cut = bench.Train(Join(workload.arguments, {"--run_epochs", "1"}));
    Require(saving.model == whole.model && cut.model == whole.model, workload.name + " differs");
    whole_s.push_back(whole.wall_s);
    saving_s.push_back(saving.wall_s);
    cut_s.push_back(cut.wall_s);
    generations = cut.generations;
  }
  const double save = (Median(saving_s) - Median(whole_s)) / static_cast<double>(whole.epochs);
  const double hand_over = (Median(cut_s) - Median(whole_s)) / static_cast<double>(generations - 1);
  const double epoch = Median(whole.epoch_s);
  fmt::print(
      "{:<22} epoch {:7.2f} ms; checkpoint {:6.2f} ms, {:5.2f} epochs; hand-over {:6.2f} ms,"
      " {:5.2f} epochs, {:.4f} % of 15 minutes\n",
      workload.name, epoch * 1e3, save * 1e3, save / epoch, hand_over * 1e3, hand_over / epoch,
      100 * hand_over / kGenerationSeconds);
  std::fflush(stdout);
}

void CompareRounds(Bench& bench) {
  bench.Lambdaml({"data", "generate", "blobs", "--rows", "30", "--n_features", "26214",
                  "--n_classes", "10", "--output", "wide.npz"});
  // 262,150 parameters; an epoch is a round.
  const Arguments job = {"--data",   "wide.npz",  "--model",    "lr",           "--optim",
                         "grad_avg", "--workers", "3",          "--batch_size", "0",
                         "--lr",     "0.0001",    "--n_epochs", "200"};
  std::vector<double> kept_s;
  std::vector<double> plain_s;
  for (int turn = 0; turn < kTurns; ++turn) {
    const Run kept = bench.Train(Join(job, {"--max_restarts", "3"}));
    const Run plain = bench.Train(Join(job, {"--max_restarts", "0"}));
    Require(kept.model == plain.model, "the rounds differ");
    kept_s.insert(kept_s.end(), kept.epoch_s.begin() + 5, kept.epoch_s.end());
    plain_s.insert(plain_s.end(), plain.epoch_s.begin() + 5, plain.epoch_s.end());
  }
  fmt::print("a round of 1 MB: {:.3f} ms with results kept, {:.3f} ms without: {:.3f} x\n",
             Median(kept_s) * 1e3, Median(plain_s) * 1e3, Median(kept_s) / Median(plain_s));
  std::fflush(stdout);
}

// From an invocation to the answer of a new process that has nothing to do.
double ColdStartSeconds(const Bench& bench) {
  std::vector<double> starts;
  for (int turn = 0; turn < kTurns; ++turn) {
    faas::LocalPlatform platform;
    platform.CreateFunction({.name = "worker",
                             .program = LAMBDAML_WORKER,
                             .arguments = {},
                             .environment = {},
                             .scratch_parent = bench.folder(),
                             .log_directory = bench.folder()});
    const auto invoker = faas::MakeHttpInvoker(platform.endpoint());
    const base::TimePoint start = base::SystemClock().Now();
    invoker->Invoke("worker", "{}", base::Deadline::After(kRunMax));
    starts.push_back(base::Seconds(base::SystemClock().Now() - start));
  }
  return Median(starts);
}

// The number of the last epoch in a table of epochs.
int64_t LastEpoch(const std::string& table) {
  const size_t end = table.rfind('\n');
  const size_t begin = end == std::string::npos ? end : table.rfind('\n', end - 1);
  return begin == std::string::npos ? 0 : std::atoll(table.c_str() + begin + 1);
}

void CompareRestarts(Bench& bench) {
  constexpr int64_t kEvery = 200;
  const Arguments job = {"--data",
                         "higgs.npz",
                         "--model",
                         "lr",
                         "--optim",
                         "grad_avg",
                         "--workers",
                         "3",
                         "--batch_size",
                         "0",
                         "--lr",
                         "0.1",
                         "--n_epochs",
                         "1000",
                         "--checkpoint_every",
                         std::to_string(kEvery)};
  const double cold_s = ColdStartSeconds(bench);
  std::vector<double> extra_s;
  std::vector<double> floor_s;
  for (int turn = 0; turn < kTurns; ++turn) {
    const Run whole = bench.Train(job);
    const auto program = bench.Start(Join(Join({"train"}, job), {"--output", "m", "--log", "log"}));
    program->WaitUntil([&] { return LastEpoch(program->out()) >= kEvery + kEvery / 2; }, kRunMax);
    const int64_t epoch = LastEpoch(program->out());
    for (const pid_t child : test::ChildrenOf(program->pid())) {
      if (test::CommandOf(child).find("lambdaml-worker") == std::string::npos) continue;
      ::kill(child, SIGKILL);
      break;
    }
    const Run killed = bench.Finish(*program);
    Require(killed.model == whole.model, "the run with a killed worker differs");
    const double round_s = whole.compute_s / static_cast<double>(whole.epochs);
    extra_s.push_back(killed.wall_s - whole.wall_s);
    floor_s.push_back(cold_s + whole.load_s + round_s * static_cast<double>(epoch % kEvery));
  }
  fmt::print(
      "a killed worker: {:.1f} ms until full speed; start {:.1f} ms, with load and the "
      "rounds' computing {:.1f} ms: {:.2f} x\n",
      Median(extra_s) * 1e3, cold_s * 1e3, Median(floor_s) * 1e3,
      Median(extra_s) / Median(floor_s));
}

}  // namespace

int main() {
  try {
    Bench bench;
    const auto generate = [&](const Arguments& arguments) {
      bench.Lambdaml(Join({"data", "generate"}, arguments));
    };
    generate({"higgs", "--rows", "20000", "--output", "higgs.npz"});
    generate({"rcv1", "--rows", "3000", "--output", "rcv1.npz"});
    generate({"blobs", "--rows", "20000", "--n_features", "32", "--output", "blobs.npz"});
    generate({"cifar10", "--rows", "64", "--output", "images.bin"});
    const std::vector<Workload> workloads = {
        {"lr admm",
         {"--data", "higgs.npz", "--model", "lr", "--optim", "admm", "--n_admm_epochs", "40",
          "--tolerance", "1e-30", "--workers", "3"}},
        {"sparse_svm grad_avg",
         {"--data", "rcv1.npz", "--model", "sparse_svm", "--optim", "grad_avg", "--n_epochs", "40",
          "--batch_size", "250", "--workers", "3"}},
        {"kmeans",
         {"--data", "blobs.npz", "--model", "kmeans", "--n_clusters", "64", "--batch_size", "500",
          "--n_epochs", "40", "--workers", "3"}},
        {"mobilenet",
         {"--data", "images.bin", "--model", "mobilenet", "--n_epochs", "5", "--batch_size", "16",
          "--workers", "2"}}};
    for (const Workload& workload : workloads) CompareHandOvers(bench, workload);
    CompareRounds(bench);
    CompareRestarts(bench);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "handover_bench: {}\n", error.what());
    return 1;
  }
}
