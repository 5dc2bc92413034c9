#include "lambdaml/train/late_rank.h"

#include <span>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/json.h"

namespace lambdaml::train {
namespace {

std::string LateKey(const std::string& job_id) { return job_id + "/late"; }

}  // namespace

void ReportLate(store::Store& run_store, const std::string& job_id, const LateRank& late,
                const base::Deadline& deadline) {
  base::Json json = base::Json::EmptyObject();
  json.Set("generation", late.generation);
  json.Set("rank", late.rank);
  const std::string text = json.Dump();
  run_store.Put(LateKey(job_id), base::AsBytes(text), deadline);
}

std::optional<LateRank> TakeLate(store::Store& run_store, const std::string& job_id,
                                 const base::Deadline& deadline) {
  const std::string key = LateKey(job_id);
  const std::optional<base::Blob> text = run_store.Get(key, deadline);
  if (!text) return std::nullopt;
  run_store.Delete(std::span(&key, 1), deadline);
  const base::Json json = base::Json::Parse(text->text(), "the report of a late worker");
  return LateRank{.generation = json.At("generation").AsInteger(),
                  .rank = json.At("rank").AsInteger()};
}

}  // namespace lambdaml::train
