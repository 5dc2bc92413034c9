// The description of a job: what the user asks for, and, with the worker's own keys filled in, the
// payload a worker function is started with. One JSON object; its keys are LambdaML's, so payloads
// made by LambdaML's triggers are jobs too. job_options.h has the table of all keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/json.h"
#include "lambdaml/wire/float16.h"

namespace lambdaml::wire {

enum class ModelKind {
  kLr,
  kSvm,
  kSparseLr,
  kSparseSvm,
  kKmeans,
  kMobileNet,
  kResNet18,
  kResNet50
};
enum class DatasetType { kAuto, kDenseLibsvm, kSparseLibsvm, kCifar10 };
enum class Optim { kGradAvg, kModelAvg, kAdmm };
enum class SyncMode { kReduce, kReduceScatter, kAsync };
enum class Regularizer { kNone, kL1, kL2 };
enum class LrSchedule { kConstant, kStep, kInverseSqrt, kCosine };
enum class LocalSolver { kSgd, kExact };
enum class KmeansInit { kFirst, kRandom, kPlusPlus, kParallel };
enum class KeptEpoch { kLast, kBest };
enum class PlatformKind { kLocal, kAws, kHttp };
enum class TriggerKind { kLocal, kLambda };
enum class MetricsKind { kNone, kCloudWatch };

// Unset optionals stand for defaults that depend on other keys or on the data; the trigger's
// ResolveJob (train/job_defaults.h) settles those that do not need the data.
struct Job {
  // Data.
  std::string data;
  std::string test;
  DatasetType dataset_type = DatasetType::kAuto;
  int64_t index_base = 1;
  std::optional<int64_t> n_features;
  std::optional<int64_t> n_classes;
  double valid_ratio = 0;
  bool augment = false;

  // Model.
  ModelKind model = ModelKind::kLr;
  bool bias = true;
  std::optional<int64_t> n_clusters;
  std::string init_model;
  std::string output;

  // Algorithm.
  std::optional<Optim> optim;
  SyncMode sync_mode = SyncMode::kReduce;
  Precision exchange = Precision::kFloat32;
  std::optional<double> lr;
  LrSchedule lr_schedule = LrSchedule::kConstant;
  std::optional<double> momentum;
  std::optional<int64_t> batch_size;
  std::optional<int64_t> n_epochs;
  std::optional<Regularizer> regularizer;
  std::optional<double> lambda;
  int64_t n_admm_epochs = 100;
  std::optional<double> rho;
  LocalSolver local_solver = LocalSolver::kExact;
  double tolerance = 2e-4;
  std::optional<KmeansInit> init;
  std::optional<double> threshold;
  int64_t patience = 0;
  std::optional<KeptEpoch> keep;
  int64_t seed = 0;

  // Functions and channel.
  int64_t n_workers = 4;
  std::string channel;
  PlatformKind platform = PlatformKind::kLocal;
  TriggerKind trigger = TriggerKind::kLocal;
  MetricsKind metrics = MetricsKind::kNone;
  std::string function_name = "lambdaml";
  std::string function_url;
  std::string run_folder;
  double max_cost = 0;    // dollars; 0: no limit
  double deadline_s = 0;  // of the whole run; 0: none
  int64_t memory_mb = 1769;
  double timeout_s = 900;
  double round_timeout_s = 300;
  double start_timeout_s = 60;
  std::string checkpoint;
  std::string resume;
  std::optional<int64_t> checkpoint_every;
  int64_t max_restarts = 3;
  std::string region;
  std::string endpoint_url;
  std::string cache_node;
  std::string prices;
  std::string log;

  // LambdaML's spellings of the places above; ApplyLambdamlKeys turns them into those.
  std::string dataset;
  std::string data_bucket;
  std::string file;
  std::string train_file;
  std::string test_file;
  std::string tmp_bucket;
  std::string merged_bucket;
  std::string cp_bucket;
  std::string host;
  std::optional<int64_t> port;
  std::string tmp_table_name;
  std::string merged_table_name;
  std::string key_col;
  int64_t start_epoch = 0;
  std::optional<int64_t> run_epochs;

  // One worker's share, set by the trigger.
  std::string job_id;
  int64_t worker_index = 0;
  std::string model_url;     // where rank 0 leaves the finished model
  int64_t generation = 0;    // which invocation of the rank this is, if none fails
  int64_t attempt = 1;       // which one of that generation
  std::string architecture;  // of the functions, as Lambda names it; empty: x86_64
  bool is_watched = false;   // the run's store says whether the job is still wanted
  int64_t ends_at_ms = 0;  // since the Unix epoch: when its trigger must end; 0: not before it does
  std::string origin;      // rank 0: the job as the trigger was given it, as JSON
};

// The payload for one worker: a JSON object of all keys that differ from their defaults (and of the
// model, where n_clusters would stand without one).
base::Json JobToJson(const Job& job);

// The inverse, strict: unknown keys, wrong types and values out of range are refused. A payload
// with n_clusters and without a model is k-means: LambdaML's triggers of k-means name no model.
// `origin` names the text in errors. Errors: kInvalidArgument.
Job JobFromJson(const base::Json& json, std::string_view origin);

// Fills data, test and channel from LambdaML's keys where the job does not name them itself:
//   data_bucket/{dataset|train_file}, tmp_bucket (S3), host:port (by the port:
//   27000 a parameter server, 6379 Redis, others Memcached), *_table_name
//   (DynamoDB).
// A bucket that is a URL or a path stands for itself; a bare name is an S3 bucket. A LambdaML
// payload (it has data_bucket) that gives lambda for ADMM means the L1 penalty. Errors:
// kInvalidArgument for keys that ask for what this program cannot do.
void ApplyLambdamlKeys(Job& job);

// Writes region and endpoint_url into the job's s3:// and dynamodb:// URLs that have none of their
// own, as parameters: so a URL means the same to everybody who is given it.
void ApplyServiceOptions(Job& job);

}  // namespace lambdaml::wire
