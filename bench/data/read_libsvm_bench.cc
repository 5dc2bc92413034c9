// Reads generated libsvm files of about 100 MB, dense and sparse, against scikit-learn and
// LIBLINEAR, and binary shards against text. Everything runs on one core.
//
//   read_libsvm_bench [--rows_percent P] [--repetitions N]
//
// How the peers are timed: scikit-learn's load_svmlight_file inside its process (read_sklearn.py
// beside this file's source); LIBLINEAR's reader as the run time of `liblinear-train -e 0`, which
// reads the whole file before it refuses the tolerance 0, so nothing is trained. Starting that
// process costs about 1 ms of it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/generate.h"
#include "lambdaml/data/load.h"
#include "lambdaml/data/save.h"

namespace {

using namespace lambdaml;

struct Options {
  double rows_percent = 100;
  int repetitions = 9;
};

struct Sums {
  int64_t rows = 0;
  int64_t nonzeros = 0;
  double sum = 0;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double SecondsOf(const std::function<void()>& work) {
  const base::TimePoint start = base::SystemClock().Now();
  work();
  return base::Seconds(base::SystemClock().Now() - start);
}

double MedianSeconds(int repetitions, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) seconds.push_back(SecondsOf(work));
  return Median(std::move(seconds));
}

std::span<const float> ValuesOf(const data::Dataset& dataset) {
  return dataset.is_dense() ? dataset.dense().values : dataset.sparse().values;
}

Sums SumsOf(const data::Dataset& dataset) {
  Sums sums = {.rows = dataset.rows()};
  for (const float value : ValuesOf(dataset)) {
    sums.nonzeros += value != 0 ? 1 : 0;
    sums.sum += static_cast<double>(value);
  }
  return sums;
}

size_t MatrixBytes(const data::Dataset& dataset) {
  size_t bytes = ValuesOf(dataset).size_bytes() + dataset.labels.size_bytes();
  if (!dataset.is_dense()) {
    bytes += dataset.sparse().columns.size_bytes() + dataset.sparse().row_offsets.size_bytes();
  }
  return bytes;
}

// Runs a shell command and returns what it writes to standard output.
std::string Output(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string text;
  char buffer[256];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) text += buffer;
  ::pclose(pipe);
  return text;
}

// The median of scikit-learn's times; stops the program if it read something else than we did.
double SklearnSeconds(const std::string& path, int64_t n_features, const Options& options,
                      const Sums& ours) {
  const std::string script = std::string(LAMBDAML_BENCH_SOURCE_DIR) + "/read_sklearn.py";
  const std::string text = Output("OMP_NUM_THREADS=1 /usr/bin/python3 " + script + " " + path +
                                  " " + std::to_string(n_features) + " " +
                                  std::to_string(std::max(1, options.repetitions / 2)));
  std::vector<double> numbers;
  const char* p = text.c_str();
  for (char* end = nullptr;; p = end) {
    const double number = std::strtod(p, &end);
    if (end == p) break;
    numbers.push_back(number);
  }
  if (numbers.size() < 4) return NAN;
  const size_t times = numbers.size() - 3;
  const double sum = numbers[times + 2];
  if (static_cast<int64_t>(numbers[times]) != ours.rows ||
      std::abs(sum - ours.sum) > 1e-6 * (std::abs(sum) + static_cast<double>(ours.nonzeros))) {
    std::fprintf(stderr, "scikit-learn read something else: sum %.9g, ours %.9g\n", sum, ours.sum);
    std::exit(1);
  }
  numbers.resize(times);
  return Median(std::move(numbers));
}

struct TextSeconds {
  double ours = 0;
  double liblinear = NAN;  // when it is not installed
};

// Both readers by turns, so that what else the machine does meets both.
TextSeconds TimeText(const std::string& path, const Options& options) {
  const std::string command = "liblinear-train -e 0 " + path + " /dev/null 2>&1";
  const bool has_liblinear = Output(command).find("eps <= 0") != std::string::npos;
  std::vector<double> ours;
  std::vector<double> liblinear;
  for (int i = 0; i < options.repetitions; ++i) {
    ours.push_back(SecondsOf([&] { data::LoadFile(path, {}); }));
    if (has_liblinear) liblinear.push_back(SecondsOf([&] { Output(command); }));
  }
  return {Median(ours), has_liblinear ? Median(liblinear) : NAN};
}

// Peak resident memory of a process that only loads `path`, less that of one that loads nothing.
double PeakBytesOfLoading(const std::string& path) {
  const auto peak_bytes = [&](bool load) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (load) data::LoadFile(path, {});
      ::_exit(0);
    }
    rusage usage = {};
    int status = 0;
    ::wait4(child, &status, 0, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024;
  };
  return peak_bytes(true) - peak_bytes(false);
}

void Report(std::string_view what, double peer_seconds, double our_seconds) {
  if (std::isnan(peer_seconds)) {
    std::printf("  %-42s not installed\n", std::string(what).c_str());
  } else {
    std::printf("  %-42s %8.1f ms  %5.1fx our time\n", std::string(what).c_str(),
                1000 * peer_seconds, peer_seconds / our_seconds);
  }
}

void Run(data::GeneratorKind kind, int64_t rows, const std::string& folder,
         const Options& options) {
  const std::string text_path = folder + "/data.libsvm";
  const std::string npz_path = folder + "/data.npz";
  rows = std::max<int64_t>(
      1, static_cast<int64_t>(static_cast<double>(rows) * options.rows_percent / 100));
  data::GenerateFile({.kind = kind, .rows = rows}, text_path, data::FileFormat::kLibsvm);
  const double text_peak_bytes = PeakBytesOfLoading(text_path);

  const data::Dataset dataset = data::LoadFile(text_path, {});
  const Sums sums = SumsOf(dataset);
  data::SaveFile(dataset, npz_path, data::FileFormat::kNpz);
  const double text_bytes = static_cast<double>(std::filesystem::file_size(text_path));
  const auto [text_seconds, liblinear_seconds] = TimeText(text_path, options);
  const double npz_seconds =
      MedianSeconds(options.repetitions, [&] { data::LoadFile(npz_path, {}); });
  // Verified before it counts: the shard holds what the text holds.
  const Sums npz_sums = SumsOf(data::LoadFile(npz_path, {}));
  if (npz_sums.rows != sums.rows || npz_sums.sum != sums.sum) {
    std::fprintf(stderr, "the binary shard differs from the text\n");
    std::exit(1);
  }

  std::printf("%s, %s: %lld rows, %lld non-zeros, %.1f MB of text\n",
              std::string(data::GeneratorKindName(kind)).c_str(),
              dataset.is_dense() ? "dense" : "sparse", static_cast<long long>(sums.rows),
              static_cast<long long>(sums.nonzeros), text_bytes / 1e6);
  std::printf("  %-42s %8.1f ms  %5.0f MB/s\n", "lambdaml, text", 1000 * text_seconds,
              text_bytes / 1e6 / text_seconds);
  Report("scikit-learn load_svmlight_file (goal 10x)",
         SklearnSeconds(text_path, dataset.n_features(), options, sums), text_seconds);
  Report("LIBLINEAR's reader (goal 8x)", liblinear_seconds, text_seconds);
  std::printf("  %-42s %8.1f ms  %5.1fx faster than text (goal 5x)\n", "lambdaml, binary shard",
              1000 * npz_seconds, text_seconds / npz_seconds);
  std::printf("  %-42s %8.2fx of its %.1f MB (goal 1.3x)\n", "peak memory of reading the text",
              text_peak_bytes / static_cast<double>(MatrixBytes(dataset)),
              static_cast<double>(MatrixBytes(dataset)) / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--rows_percent") options.rows_percent = std::atof(argv[i + 1]);
    if (name == "--repetitions") options.repetitions = std::max(1, std::atoi(argv[i + 1]));
  }
  try {
    const base::TemporaryDirectory folder("/tmp", "read_libsvm_bench");
    Run(data::GeneratorKind::kHiggs, 300'000, folder.path(), options);
    Run(data::GeneratorKind::kRcv1, 80'000, folder.path(), options);
  } catch (const base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
