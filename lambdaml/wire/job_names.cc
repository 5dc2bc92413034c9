#include "lambdaml/wire/job_names.h"

namespace lambdaml::wire {

const Names<ModelKind> kModelNames = {{ModelKind::kLr, "lr"},
                                      {ModelKind::kSvm, "svm"},
                                      {ModelKind::kSparseLr, "sparse_lr"},
                                      {ModelKind::kSparseSvm, "sparse_svm"},
                                      {ModelKind::kKmeans, "kmeans"},
                                      {ModelKind::kMobileNet, "mobilenet"},
                                      {ModelKind::kResNet18, "resnet18"},
                                      {ModelKind::kResNet50, "resnet50"},
                                      {ModelKind::kResNet50, "resnet"}};  // LambdaML's name
const Names<DatasetType> kDatasetTypeNames = {{DatasetType::kAuto, "auto"},
                                              {DatasetType::kDenseLibsvm, "dense_libsvm"},
                                              {DatasetType::kSparseLibsvm, "sparse_libsvm"},
                                              {DatasetType::kCifar10, "cifar10"}};
const Names<Optim> kOptimNames = {
    {Optim::kGradAvg, "grad_avg"}, {Optim::kModelAvg, "model_avg"}, {Optim::kAdmm, "admm"}};
const Names<SyncMode> kSyncModeNames = {{SyncMode::kReduce, "reduce"},
                                        {SyncMode::kReduceScatter, "reduce_scatter"},
                                        {SyncMode::kAsync, "async"}};
const Names<Regularizer> kRegularizerNames = {
    {Regularizer::kNone, "none"}, {Regularizer::kL1, "l1"}, {Regularizer::kL2, "l2"}};
const Names<LrSchedule> kLrScheduleNames = {{LrSchedule::kConstant, "constant"},
                                            {LrSchedule::kStep, "step"},
                                            {LrSchedule::kInverseSqrt, "inverse_sqrt"},
                                            {LrSchedule::kCosine, "cosine"}};
const Names<LocalSolver> kLocalSolverNames = {{LocalSolver::kSgd, "sgd"},
                                              {LocalSolver::kExact, "exact"}};
const Names<KmeansInit> kKmeansInitNames = {{KmeansInit::kFirst, "first"},
                                            {KmeansInit::kRandom, "random"},
                                            {KmeansInit::kPlusPlus, "k-means++"},
                                            {KmeansInit::kParallel, "k-means||"}};
const Names<KeptEpoch> kKeptEpochNames = {{KeptEpoch::kLast, "last"}, {KeptEpoch::kBest, "best"}};
const Names<PlatformKind> kPlatformNames = {
    {PlatformKind::kLocal, "local"}, {PlatformKind::kAws, "aws"}, {PlatformKind::kHttp, "http"}};
const Names<TriggerKind> kTriggerNames = {{TriggerKind::kLocal, "local"},
                                          {TriggerKind::kLambda, "lambda"}};
const Names<MetricsKind> kMetricsNames = {{MetricsKind::kNone, "none"},
                                          {MetricsKind::kCloudWatch, "cloudwatch"}};
const Names<Precision> kPrecisionNames = {{Precision::kFloat32, "float32"},
                                          {Precision::kFloat16, "float16"}};

}  // namespace lambdaml::wire
