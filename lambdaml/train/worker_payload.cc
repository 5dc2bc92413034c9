#include "lambdaml/train/worker_payload.h"

#include "lambdaml/store/store_url.h"

namespace lambdaml::train {

std::string WorkerPayload(const wire::Job& job, int64_t rank, int64_t generation, int64_t attempt) {
  wire::Job payload = job;
  payload.worker_index = rank;
  payload.generation = generation;
  payload.attempt = attempt;
  if (rank != 0) payload.origin.clear();
  payload.channel = store::WithoutPassword(payload.channel);
  payload.output.clear();
  payload.test.clear();
  payload.log.clear();
  payload.prices.clear();
  payload.function_url.clear();
  payload.run_folder.clear();
  payload.architecture.clear();
  payload.trigger = wire::TriggerKind::kLocal;
  return wire::JobToJson(payload).Dump();
}

}  // namespace lambdaml::train
