// The command line: what the user typed, as one struct per command. Parsing only; the commands are
// in files of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "apps/lambdaml/cloud_arguments.h"

namespace lambdaml::cli {

struct TrainArguments {
  std::string job_file;  // TOML or JSON, or empty
  std::vector<std::pair<std::string, std::string>>
      options;  // key of the job and its text, in order
};

struct PredictArguments {
  std::string model;
  std::string data;
  std::string output;
  bool probabilities = false;
  int index_base = 1;
};

struct EvaluateArguments {
  std::string model;
  std::string data;
  bool json = false;
  int index_base = 1;
};

// How a data set is read, for all data commands.
struct DataInput {
  std::string path;
  int index_base = 1;
  std::optional<int64_t> n_features;
  std::string layout = "auto";  // "auto", "dense", "sparse"
  int64_t n_classes = 10;       // of images
};

struct DescribeArguments {
  DataInput data;
  bool json = false;
};

struct SplitArguments {
  DataInput data;
  int64_t parts = 0;
  std::string output;
  std::string format = "npz";  // "npz", "libsvm"
  std::string test;            // test images, or empty
  bool shuffle = false;
  uint64_t seed = 0;
};

struct ConvertArguments {
  DataInput data;
  std::string labels;  // an idx file, or empty
  std::string output;
  std::string format;  // empty: from the name of the output
};

struct GenerateArguments {
  std::string kind;
  int64_t rows = 0;
  std::string output;
  std::string format;
  uint64_t seed = 0;
  std::optional<int64_t> n_features;  // blobs
  std::optional<int64_t> n_classes;   // blobs, cifar10
};

struct PsArguments {
  std::string host = "127.0.0.1";
  int port = 27000;
  double interval_s = 60;
  double expired_s = 6000;
  std::string dir;
  int memory_mb = 2048;
  int message_mb = 256;
  int connections_max = 1000;
  int jobs_max = 1000;
  double grace_s = 30;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  int metrics_port = -1;  // none
  std::string status;     // of a running server, instead of running one
  bool json = false;
};

// The text of --help or --version, to be printed; the program then ends with success.
struct ShowText {
  std::string text;
};

using Command = std::variant<ShowText, TrainArguments, PredictArguments, EvaluateArguments,
                             DescribeArguments, SplitArguments, ConvertArguments, GenerateArguments,
                             PsArguments, PackageArguments, DeployArguments, DestroyArguments,
                             StatusArguments, LogsArguments, CancelArguments>;

// Errors: kInvalidArgument with one line that says what is wrong and which --help tells more.
Command ParseCommandLine(const std::vector<std::string>& arguments);

}  // namespace lambdaml::cli
